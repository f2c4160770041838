// A Cloudflare Worker before a private R2 bucket: serves what a mediaplane CDN link permits, and nothing else.
//
//   https://media.example.com/{key id}.{end}.{parts}.{signature}/{key of the object}
//
// What a link says stands in docs/downloads.md; src/mediaplane/storage/cdn.py makes them, and the tests compare both.
//
// Settings (wrangler.toml): the R2 bucket as binding MEDIA, STORE (the store's name in mediaplane), and the secret
// CDN_KEYS, `id:secret` with commas between, the same text as mediaplane's S3_CDN_KEYS.

const PURPOSE = "mediaplane cdn link 1";
const PERMISSION = /^([A-Za-z0-9_-]{1,32})\.(\d{1,12})\.(\d{1,3})\.([A-Za-z0-9_-]{43})$/;
const MAX_AGE_SECONDS = 3600; // in browsers; never longer than the link lives
const SHOWN = /^(?:(?:audio|image|video)\/(?!svg)|application\/(?:vnd\.apple\.mpegurl|json)$|text\/(?:plain|vtt)$)/;
const HEADERS = {
  "access-control-allow-origin": "*", // the link is the permission, whichever page uses it
  "access-control-expose-headers": "accept-ranges, content-length, content-range, etag, last-modified",
  "content-security-policy": "sandbox; default-src 'none'",
  "cross-origin-resource-policy": "cross-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};
const PREFLIGHT = {
  "access-control-allow-headers": "if-modified-since, if-none-match, if-range, range",
  "access-control-allow-methods": "GET, HEAD",
  "access-control-max-age": "7200",
};

export default {
  async fetch(request, env) {
    if (request.method === "OPTIONS") return answer(204, PREFLIGHT);
    if (request.method !== "GET" && request.method !== "HEAD") return answer(405, { allow: "GET, HEAD, OPTIONS" });
    const asked = readUrl(request.url);
    const link = asked && (await readLink(asked, env, Date.now() / 1000));
    if (!link) return answer(403, { "cache-control": "no-store" }, "This link is not valid, or it has expired.\n");
    return serve(request, env.MEDIA, link);
  },
};

// Takes a URL apart: permission, the object's key as the bucket has it, and the file name to save it under.
function readUrl(text) {
  const url = new URL(text);
  const [, permission, ...parts] = url.pathname.split("/");
  try {
    const key = parts.map(decodeURIComponent).join("/");
    // A key is never one that a file system would take for another.
    if (key.split("/").some((part) => part === "" || part === "." || part === "..")) return null;
    if (/[\u0000-\u001f\u007f\\]/.test(key)) return null;
    return { permission, key, filename: url.searchParams.get("filename") ?? "" };
  } catch {
    return null; // `%` that encodes nothing
  }
}

// Returns key, file name and the seconds that are left, or null where the link is not good for this object now.
export async function readLink({ permission, key, filename }, env, now) {
  const match = PERMISSION.exec(permission);
  if (!match) return null;
  const [, keyId, end, parts, signature] = match;
  const secret = readKeys(env.CDN_KEYS).get(keyId);
  const scope = scopeOf(key, Number(parts));
  if (!secret || !scope) return null;
  const text = [PURPOSE, env.STORE, end, quote(filename), scope].join("\n");
  const left = Number(end) - now;
  if (!(await isSigned(secret, text, signature)) || left <= 0) return null;
  return { key, filename, left: Math.floor(left) };
}

function readKeys(text) {
  const pairs = (text ?? "").split(",").map((part) => part.trim());
  return new Map(pairs.map((pair) => [pair.slice(0, pair.indexOf(":")), pair.slice(pair.indexOf(":") + 1)]));
}

// What the first parts of a key name, the whole key for 0: a link to a playlist opens all that lies beside it.
function scopeOf(key, parts) {
  if (parts === 0) return key;
  const named = key.split("/");
  return parts < named.length ? named.slice(0, parts).join("/") + "/" : null;
}

// As Python's urllib.parse.quote(text, safe="") does it.
function quote(text) {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => "%" + char.charCodeAt(0).toString(16).toUpperCase());
}

// Web Crypto compares in constant time.
async function isSigned(secret, text, signature) {
  const bytes = new TextEncoder();
  const key = await crypto.subtle.importKey("raw", bytes.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, [
    "verify",
  ]);
  const given = Uint8Array.from(atob(signature.replace(/-/g, "+").replace(/_/g, "/") + "="), (c) => c.charCodeAt(0));
  return crypto.subtle.verify("HMAC", key, given, bytes.encode(text));
}

async function serve(request, bucket, link) {
  if (request.method === "HEAD") {
    const object = await bucket.head(link.key);
    return object ? answer(200, describe(object, link, object.size)) : missing();
  }
  const conditions = onlyIf(request.headers);
  let object;
  try {
    object = await bucket.get(link.key, { onlyIf: conditions, range: await wantedRange(request, bucket, link) });
  } catch {
    const there = await bucket.head(link.key); // R2 throws where no byte of the range exists
    return there ? answer(416, { "content-range": `bytes */${there.size}` }) : missing();
  }
  if (!object) return missing();
  if (!object.body) return answer(request.headers.has("if-match") ? 412 : 304, describe(object, link));
  const part = partOf(object);
  if (!part) return answer(200, describe(object, link, object.size), object.body);
  const range = { "content-range": `bytes ${part.offset}-${part.offset + part.length - 1}/${object.size}` };
  return answer(206, { ...describe(object, link, part.length), ...range }, object.body);
}

// If-Range is not R2's: the part counts only for the very object that the client has the rest of.
async function wantedRange(request, bucket, link) {
  const header = request.headers.get("range");
  if (!header || !/^bytes=(?:\d+-\d*|-\d+)$/.test(header)) return undefined; // several at once: the whole
  const condition = request.headers.get("if-range");
  if (condition && (await bucket.head(link.key))?.httpEtag !== condition) return undefined;
  return new Headers({ range: header });
}

function onlyIf(headers) {
  const names = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];
  return new Headers(names.filter((name) => headers.has(name)).map((name) => [name, headers.get(name)]));
}

// R2 tells which part it gave: offset and length, or a suffix.
function partOf(object) {
  const range = object.range;
  if (!range) return null;
  if ("suffix" in range) {
    const length = Math.min(range.suffix, object.size);
    return { offset: object.size - length, length };
  }
  const offset = range.offset ?? 0;
  const length = Math.min(range.length ?? object.size, object.size - offset);
  return offset === 0 && length === object.size ? null : { offset, length };
}

function describe(object, link, length) {
  const type = (object.httpMetadata?.contentType ?? "application/octet-stream").split(";")[0].trim().toLowerCase();
  const shown = SHOWN.test(type);
  const name = link.filename || link.key.slice(link.key.lastIndexOf("/") + 1);
  return {
    "accept-ranges": "bytes",
    "cache-control": `private, max-age=${Math.min(MAX_AGE_SECONDS, link.left)}`,
    "content-type": shown ? type : "application/octet-stream",
    etag: object.httpEtag,
    "last-modified": object.uploaded.toUTCString(),
    ...(length === undefined ? {} : { "content-length": String(length) }),
    ...(shown && !link.filename ? {} : { "content-disposition": disposition(name) }),
  };
}

function disposition(name) {
  const plain = name.replace(/[^\x20-\x7e]|["%\\]/g, "_");
  return `attachment; filename="${plain}"; filename*=UTF-8''${quote(name)}`;
}

function missing() {
  return answer(404, { "cache-control": "no-store" }, "There is nothing here.\n");
}

function answer(status, headers, body = null) {
  return new Response(body, { status, headers: { ...HEADERS, ...headers } });
}
