// Unpacks the browser of @sparticuz/chromium into the directory `chromium`. The package has it compressed.
import { execFileSync } from "node:child_process";
import { chmodSync, createReadStream, createWriteStream, mkdirSync, rmSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";

const source = "node_modules/@sparticuz/chromium/bin";
const target = "chromium";

async function unpack(name) {
  await pipeline(
    createReadStream(`${source}/${name}.br`),
    createBrotliDecompress(),
    createWriteStream(`${target}/${name}`),
  );
}

rmSync(target, { recursive: true, force: true });
mkdirSync(target);
await unpack("chromium");
chmodSync(`${target}/chromium`, 0o755);
// The libraries that the browser needs besides those of every Linux.
await unpack("al2023.tar");
execFileSync("tar", ["--extract", "--file", `${target}/al2023.tar`, "--directory", target]);
