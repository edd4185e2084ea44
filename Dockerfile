# Two targets.
#
#   docker build --target guest --output build/guest .     builds the guest's programs: bin/, tests/, bench/, versions.json
#   docker build -t loanword . && docker run -it loanword  boots to a shell

FROM debian:trixie-slim AS toolchain
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates gcc-riscv64-unknown-elf make nodejs && rm -rf /var/lib/apt/lists/*
WORKDIR /loanword
COPY tools/bin tools/bin
COPY guest guest
RUN node tools/bin/guest.mjs

FROM scratch AS guest
COPY --from=toolchain /loanword/build/guest /

FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates nodejs npm && rm -rf /var/lib/apt/lists/*
WORKDIR /loanword
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN node tools/bin/build.mjs
ENTRYPOINT ["node", "tools/bin/start.mjs"]
