// npm run page: builds the page into build/web and serves it on 127.0.0.1. Any server of files will do: no special headers.
//
//   node tools/bin/page.mjs [--port N]      default 8088; 0 takes any that is free
//   node tools/bin/page.mjs --build         only builds
import { createReadStream, existsSync, mkdirSync, readFileSync, statSync, writeFileSync, copyFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";
import { brotliDecompressSync, gzipSync } from "node:zlib";
import { installPackages, root } from "./setup.mjs";

const out = join(root, "build", "web"), DEFAULT_PORT = 8088, PORT_MAX = 65535;
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".map": "application/json", ".gz": "application/gzip" };

/** The root disk in a form that browsers can unpack; made again when the disk has changed. */
function writeDisk() {
  const from = join(root, "guest/image/root.img.br"), to = join(out, "root.img.gz");
  if (existsSync(to) && statSync(to).mtimeMs >= statSync(from).mtimeMs) return;
  writeFileSync(to, gzipSync(brotliDecompressSync(readFileSync(from)), { level: 9 }));
}

/** Builds page, Worker and disk. => bytes of each */
async function buildPage() {
  const { build } = await import("esbuild");
  mkdirSync(out, { recursive: true });
  const r = await build({
    absWorkingDir: root, entryPoints: { page: "tools/web/page/page.ts", worker: "tools/web/guest.worker.ts" }, outdir: "build/web", metafile: true,
    bundle: true, platform: "browser", format: "iife", target: "es2022", minify: true, sourcemap: "linked", logLevel: "warning", legalComments: "none",
  });
  copyFileSync(join(root, "tools/web/page/index.html"), join(out, "index.html"));
  writeDisk();
  return Object.fromEntries(["index.html", "page.js", "worker.js", "root.img.gz"].map((f) => [f, statSync(join(out, f)).size]).concat([["modules", Object.keys(r.metafile.inputs).length]]));
}

/** => the path that a request names, from a slash on; null when it is none */
function pathOf(url) {
  try {
    return normalize(decodeURIComponent(url.replace(/[?#].*$/s, "")));
  } catch {
    return null;
  }
}

/** Files of build/web, and nothing else. */
function serve(port) {
  const server = createServer((request, response) => {
    const path = pathOf(request.url), file = path === null ? null : join(out, path === "/" ? "index.html" : path);
    if (file === null || !file.startsWith(out + sep) || !existsSync(file) || !statSync(file).isFile()) return void response.writeHead(404, { "content-type": "text/plain" }).end(`${request.url} is not here\n`);
    response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream", "cache-control": "no-cache" });
    createReadStream(file).pipe(response);
  });
  server.on("error", (e) => {
    console.error(`page: cannot listen on 127.0.0.1:${port}: ${e.code === "EADDRINUSE" ? "the port is in use; name another with --port N" : e.message}`);
    process.exit(2);
  });
  server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
}

/** Ends the process with a line about the command line. */
function wrong(what) {
  console.error(`page: ${what}; usage: npm run page -- [--port N] [--build]`);
  process.exit(2);
}

/** => the port, or null: only build. Ends the process when the command line is wrong. */
function parse(argv) {
  let port = DEFAULT_PORT;
  for (let i = 0; i < argv.length; i++) {
    if (argv[i] === "--build") return null;
    const value = argv[i + 1];
    if (argv[i] !== "--port") wrong(`there is no option ${argv[i]}`);
    if (!/^\d{1,5}$/.test(value ?? "") || Number(value) > PORT_MAX) wrong(value === undefined ? "--port needs a number" : `--port ${value}: give a number up to ${PORT_MAX}`);
    port = Number(argv[++i]);
  }
  return port;
}

const port = parse(process.argv.slice(2));
installPackages();
const sizes = await buildPage();
if (port === null) console.log(JSON.stringify(sizes));
else serve(port);
