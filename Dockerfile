# Two targets.
#
#   docker build --target guest --output build/guest .     builds the guest's programs: bin/, tests/, bench/, proof/, versions.json
#   docker build -t loanword . && docker run -it loanword  boots to a shell; arguments are those of `loanword boot`
#
# Other verbs: docker run -i --entrypoint loanword loanword run ... (-u, -v for files of yours)

# Bookworm's compiler and musl are those of the recorded root disk (guest/image/root.json), so this makes the same bytes.
FROM debian:bookworm-slim AS toolchain
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates gcc-riscv64-unknown-elf make nodejs && rm -rf /var/lib/apt/lists/*
WORKDIR /loanword
COPY tools/bin tools/bin
COPY guest guest
RUN node tools/bin/guest.mjs

FROM scratch AS guest
COPY --from=toolchain /loanword/build/guest /

FROM debian:trixie-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates nodejs npm && rm -rf /var/lib/apt/lists/*
WORKDIR /loanword
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY . .
# The program loads its pieces by name, and the root disk from where it lies in the tree. Any user may run it.
RUN node tools/bin/build.mjs && mkdir -p /out/loanword/build /out/loanword/guest /out/bin \
  && cp -r build/tools /out/loanword/build/ && cp -r guest/image /out/loanword/guest/ && cp package.json LICENSE README.md /out/loanword/ \
  && printf '#!/bin/sh\nexec node --v8-pool-size=1 /loanword/build/tools/cli.main.mjs "$@"\n' > /out/bin/loanword && chmod -R a+rX /out && chmod 755 /out/bin/loanword

FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends nodejs && rm -rf /var/lib/apt/lists/* && useradd --create-home loanword && chmod 755 /home/loanword
COPY --from=build /out/loanword /loanword
COPY --from=build /out/bin /usr/local/bin
# Leaves V8's code beside the program (tools/host/compiled.ts), where its user may not write.
RUN loanword boot -c true
USER loanword
WORKDIR /home/loanword
ENTRYPOINT ["loanword", "boot"]
