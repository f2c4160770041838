// Asks the example edge function as Cloudflare would, with a bucket that behaves as R2 does, and prints the answers.
//
// Standard input: {"now", "store", "keys", "objects": {key: {"body", "type"}}, "requests": [{"url", "method", "headers"}]}
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import worker from "../../examples/edge/worker.mjs";

const given = JSON.parse(readFileSync(0, "utf8"));
Date.now = () => given.now * 1000;

class Bucket {
  async head(key) {
    const found = given.objects[key];
    if (!found) return null;
    const bytes = Buffer.from(found.body, "base64");
    return {
      size: bytes.length,
      bytes,
      httpEtag: `"${createHash("md5").update(bytes).digest("hex")}"`,
      uploaded: new Date("2026-01-02T03:04:05Z"),
      httpMetadata: { contentType: found.type },
    };
  }

  // Source: Cloudflare R2, "Workers API reference": `onlyIf` and `range` may be headers; what a condition shuts out
  // comes without a body; a range that begins behind the end throws.
  async get(key, { onlyIf, range } = {}) {
    const object = await this.head(key);
    if (!object) return null;
    const match = onlyIf?.get("if-match");
    const none = onlyIf?.get("if-none-match");
    const since = onlyIf?.get("if-modified-since");
    if (match && match !== "*" && match !== object.httpEtag) return object;
    if (none ? none === "*" || none === object.httpEtag : since && object.uploaded <= new Date(since)) return object;
    let part = { offset: 0, length: object.size };
    const header = range?.get("range");
    if (header) {
      const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header);
      if (first === "") {
        part = { suffix: Number(last) };
      } else {
        if (Number(first) >= object.size) throw new Error("get: The requested range is not satisfiable (10039)");
        part = { offset: Number(first), length: (last === "" ? object.size : Number(last) + 1) - Number(first) };
      }
    }
    const offset = "suffix" in part ? Math.max(0, object.size - part.suffix) : part.offset;
    const length = "suffix" in part ? part.suffix : part.length;
    return { ...object, range: part, body: new Blob([object.bytes.subarray(offset, offset + length)]).stream() };
  }
}

const env = { MEDIA: new Bucket(), STORE: given.store, CDN_KEYS: given.keys };
const answers = [];
for (const { url, method = "GET", headers = {} } of given.requests) {
  const answer = await worker.fetch(new Request(url, { method, headers }), env);
  const body = Buffer.from(await answer.arrayBuffer()).toString("base64");
  answers.push({ status: answer.status, headers: Object.fromEntries(answer.headers), body });
}
process.stdout.write(JSON.stringify(answers));
