// An S3 server that keeps everything in memory and costs next to nothing, so that what is measured is the client.
//
// HTTP/1.1, one epoll thread, path-style addressing, no TLS; signatures and checksums are not checked, but
// x-amz-checksum-*, x-amz-meta-* and Content-Type are kept and returned. 0.1 to 0.2 processor seconds for 10,000 small
// operations. Environment:
//   PORT        where it listens, on loopback (9100)
//   KEEP_MAX    bytes kept of one body; of a longer one only the length is, and a pattern of 4 MiB is sent (64 MiB):
//               byte i of it is the lowest of i * 2654435761 >> 13
//   LATENCY_US  microseconds that every answer waits (0)
//   MD5_ETAGS   1: ETags are MD5s as S3 makes them; else they are numbers, which costs nothing
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
typedef struct {
    int ref;
    uint64_t len;
    char *data;
} Blob; // data==NULL: the pattern
typedef struct Object {
    char *key;
    uint32_t klen;
    uint32_t h;
    Blob *b; // NULL: deleted, but still among the sorted keys
    char etag[40];
    char *kept; // header lines to return
    struct Object *next_deleted;
} Object;
typedef struct Upload {
    char *key;
    uint64_t id;
    int n, cap;
    Blob **parts; // from 1
    char (*etags)[40];
    uint32_t *crcs; // x-amz-checksum-crc32 of each part
    int has_crcs;
    char *kept;
    struct Upload *next;
} Upload;
static Object **table;
static size_t cap = 1 << 16, stored, tombs;
static Object TOMB;
static Object **sorted;
static size_t nsorted;
static Object *deleted; // freed when keys are sorted again: a listing that deletions overtake costs no sorting
static int dirty = 1;
static Upload *uploads;
static uint64_t seq = 1;
static uint64_t KEEP_MAX = 64 << 20;
static uint64_t LATENCY_US = 0;
static int MD5_ETAGS = 0;
static char *PATTERN;
static size_t PATTERN_BYTES = 4 << 20;
static uint32_t hash(const char *s, size_t n) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++) {
        h ^= (uint8_t)s[i];
        h *= 16777619u;
    }
    return h;
}

static void release(Blob *b) {
    if (b && --b->ref == 0) {
        free(b->data);
        free(b);
    }
}

static Blob *make_blob(uint64_t len, char *d) {
    Blob *b = malloc(sizeof *b);
    b->ref = 1;
    b->len = len;
    b->data = d;
    return b;
}

static Object **slot(const char *k, uint32_t n, int ins) {
    uint32_t h = hash(k, n);
    size_t i = h & (cap - 1);
    Object **t = NULL;
    for (;; i = (i + 1) & (cap - 1)) {
        Object *o = table[i];
        if (!o) return t ? t : (ins ? &table[i] : NULL);
        if (o == &TOMB) {
            if (ins && !t) t = &table[i];
            continue;
        }
        if (o->h == h && o->klen == n && !memcmp(o->key, k, n)) return &table[i];
    }
}

static Object *find_object(const char *k, uint32_t n) {
    Object **s = slot(k, n, 0);
    return s && *s && *s != &TOMB ? *s : NULL;
}

static void grow(void) {
    Object **old = table;
    size_t oc = cap;
    if (stored * 2 > cap) cap *= 2;
    table = calloc(cap, sizeof *table);
    tombs = 0;
    for (size_t i = 0; i < oc; i++)
        if (old[i] && old[i] != &TOMB) {
            size_t j = old[i]->h & (cap - 1);
            while (table[j]) j = (j + 1) & (cap - 1);
            table[j] = old[i];
        }
    free(old);
}

static Object *store_object(const char *k, uint32_t n, Blob *b) {
    if ((stored + tombs) * 10 > cap * 6) grow();
    Object **s = slot(k, n, 1);
    Object *o = *s;
    if (o && o != &TOMB) {
        release(o->b);
        o->b = b;
        return o;
    }
    if (o == &TOMB) tombs--;
    o = malloc(sizeof *o);
    o->key = malloc(n + 1);
    memcpy(o->key, k, n);
    o->key[n] = 0;
    o->klen = n;
    o->h = hash(k, n);
    o->b = b;
    o->kept = NULL;
    *s = o;
    stored++;
    dirty = 1;
    return o;
}

static int delete_object(const char *k, uint32_t n) {
    Object **s = slot(k, n, 0);
    if (!s || !*s || *s == &TOMB) return 0;
    Object *o = *s;
    release(o->b);
    o->b = NULL;
    o->next_deleted = deleted;
    deleted = o;
    *s = &TOMB;
    tombs++;
    stored--;
    return 1;
}

static int by_key(const void *a, const void *b) { return strcmp((*(Object **)a)->key, (*(Object **)b)->key); }
static void sort_keys(void) {
    if (!dirty) return;
    while (deleted) {
        Object *o = deleted;
        deleted = o->next_deleted;
        free(o->key);
        free(o->kept);
        free(o);
    }
    sorted = realloc(sorted, (stored + 1) * sizeof *sorted);
    nsorted = 0;
    for (size_t i = 0; i < cap; i++)
        if (table[i] && table[i] != &TOMB) sorted[nsorted++] = table[i];
    qsort(sorted, nsorted, sizeof *sorted, by_key);
    dirty = 0;
}

typedef struct {
    char *p;
    size_t n, cap;
} Buffer;
static void append(Buffer *b, const char *s, size_t n) {
    if (b->n + n + 1 > b->cap) {
        b->cap = (b->n + n + 1) * 2;
        b->p = realloc(b->p, b->cap);
    }
    memcpy(b->p + b->n, s, n);
    b->n += n;
    b->p[b->n] = 0;
}

static void append_text(Buffer *b, const char *s) { append(b, s, strlen(s)); }
static void append_xml(Buffer *b, const char *s, size_t n) {
    for (size_t i = 0; i < n; i++) switch (s[i]) {
        case '&': append_text(b, "&amp;"); break;
        case '<': append_text(b, "&lt;"); break;
        case '>': append_text(b, "&gt;"); break;
        default: append(b, s + i, 1);
        }
}

static void append_format(Buffer *b, const char *f, ...) {
    char t[8192];
    va_list a;
    va_start(a, f);
    int n = vsnprintf(t, sizeof t, f, a);
    va_end(a);
    append(b, t, n);
}

static void append_url(Buffer *b, const char *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        unsigned char c = s[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-_.~/", c))
            append(b, s + i, 1);
        else append_format(b, "%%%02X", c);
    }
}

enum { READ_HEAD, READ_BODY, WRITE, WAITING };
typedef struct Connection {
    int fd, st;
    char *in;
    size_t inn, incap; // header buffer
    char method[8];
    char path[2048];
    int pn;
    char query[4096];
    char copysrc[2048];
    char meta[4096], sums[512]; // header lines to keep
    uint32_t crc;
    int has_crc;
    uint64_t clen, decl, got;
    int streaming, close;
    uint64_t r0, r1;
    int hasrange;
    char *body;
    int discard;
    Buffer out;
    size_t oo;
    Blob *src;
    uint64_t so, se;
    uint64_t due;
    struct Connection *nx;
    int dead;
    uint32_t ev;
} Connection;
static int ep;
static Connection *first_waiting, *last_waiting;
static uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}

static int hex_digit(char c) { return c <= '9' ? c - '0' : (c | 32) - 'a' + 10; }
static int percent_decode(char *d, const char *s, int n, int plus) {
    int j = 0;
    for (int i = 0; i < n; i++) {
        if (s[i] == '%' && i + 2 < n) {
            d[j++] = hex_digit(s[i + 1]) * 16 + hex_digit(s[i + 2]);
            i += 2;
        } else if (plus && s[i] == '+') d[j++] = ' ';
        else d[j++] = s[i];
    }
    d[j] = 0;
    return j;
}

static int query_value(Connection *c, const char *k, char *o, int max) {
    int kl = strlen(k);
    const char *p = c->query;
    while (*p) {
        const char *e = strchrnul(p, '&');
        if (!strncmp(p, k, kl) && (p[kl] == '=' || p[kl] == '&' || !p[kl])) {
            const char *v = p[kl] == '=' ? p + kl + 1 : e;
            int n = e - v;
            if (n >= max) n = max - 1;
            if (o) percent_decode(o, v, n, 1);
            return 1;
        }
        p = *e ? e + 1 : e;
    }
    return 0;
}

static const char *HTTP_DATE = "Fri, 20 Nov 2026 00:00:00 GMT", *XML_DATE = "2026-11-20T00:00:00.000Z";
static void respond(Connection *c, int code, const char *extra, const char *b, size_t n) {
    append_format(&c->out, "HTTP/1.1 %d X\r\nx-amz-request-id: 1\r\nServer: s3hole\r\nDate: %s\r\n%s", code, HTTP_DATE,
                  extra ? extra : "");
    if (code != 204) append_format(&c->out, "Content-Length: %zu\r\n", n);
    append_text(&c->out, "\r\n");
    if (n) append(&c->out, b, n);
}

static void respond_xml(Connection *c, int code, Buffer *b) {
    respond(c, code, "Content-Type: application/xml\r\n", b->p, b->n);
    free(b->p);
}

static void respond_error(Connection *c, int code, const char *e) {
    Buffer b = {0};
    append_format(&b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>%s</Code><Message>%s</Message></Error>",
                  e, e);
    if (!strcmp(c->method, "HEAD")) {
        free(b.p);
        respond(c, code, NULL, NULL, 0);
    } else respond_xml(c, code, &b);
}

static void list_objects(Connection *c, int v2) {
    char prefix[2048] = "", delim[64] = "", tok[2048] = "", mk_[32] = "", enc[16] = "";
    int max = 1000;
    query_value(c, "prefix", prefix, sizeof prefix);
    query_value(c, "delimiter", delim, sizeof delim);
    int he = query_value(c, "encoding-type", enc, sizeof enc);
    if (v2) {
        if (!query_value(c, "continuation-token", tok, sizeof tok)) query_value(c, "start-after", tok, sizeof tok);
    } else query_value(c, "marker", tok, sizeof tok);
    if (query_value(c, "max-keys", mk_, sizeof mk_)) max = atoi(mk_);
    if (max > 1000) max = 1000;
    sort_keys();
    char full[4200];
    int bl = snprintf(full, sizeof full, "%.*s/", c->pn, c->path);
    char start[8400];
    snprintf(start, sizeof start, "%s%s", full, strcmp(tok, prefix) > 0 ? tok : prefix);
    char pre[8400];
    int prl = snprintf(pre, sizeof pre, "%s%s", full, prefix);
    size_t lo = 0, hi = nsorted;
    int strict = tok[0] && strcmp(tok, prefix) >= 0;
    while (lo < hi) {
        size_t m = (lo + hi) / 2;
        int r = strcmp(sorted[m]->key, start);
        if (r < 0 || (strict && r == 0)) lo = m + 1;
        else hi = m;
    }
    Buffer b = {0};
    b.cap = 400 * 1024;
    b.p = malloc(b.cap);
    Buffer cp = {0};
    int n = 0, trunc = 0;
    char last[2048] = "";
    char lastcp[2048] = "";
    int dl = strlen(delim);
    Buffer items = {0};
    items.cap = 350 * 1024;
    items.p = malloc(items.cap);
    // skip keys under common prefix token
    for (size_t i = lo; i < nsorted; i++) {
        Object *o = sorted[i];
        if (strncmp(o->key, pre, prl)) break;
        if (!o->b) continue;
        const char *k = o->key + bl;
        const char *d = dl ? strstr(k + strlen(prefix), delim) : NULL;
        if (d) {
            int l = d - k + dl;
            if (!strncmp(lastcp, k, l) && (int)strlen(lastcp) == l) continue;
            if (tok[0] && (int)strlen(tok) >= l && !strncmp(tok, k, l) && tok[l - 1] == delim[0] && !tok[l]) continue;
            if (n >= max) {
                trunc = 1;
                break;
            }
            snprintf(lastcp, sizeof lastcp, "%.*s", l, k);
            strcpy(last, lastcp);
            append_text(&cp, "<CommonPrefixes><Prefix>");
            if (he) append_url(&cp, k, l);
            else append_xml(&cp, k, l);
            append_text(&cp, "</Prefix></CommonPrefixes>");
            n++;
        } else {
            if (n >= max) {
                trunc = 1;
                break;
            }
            append_text(&items, "<Contents><Key>");
            if (he) append_url(&items, k, o->klen - bl);
            else append_xml(&items, k, o->klen - bl);
            append_format(&items,
                          "</Key><LastModified>%s</LastModified><ETag>&quot;%s&quot;</ETag><Size>%lu</Size>"
                          "<StorageClass>STANDARD</StorageClass></Contents>",
                          XML_DATE, o->etag, o->b->len);
            snprintf(last, sizeof last, "%s", k);
            n++;
        }
    }
    append_text(&b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult "
                    "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>");
    append(&b, c->path, c->pn);
    append_text(&b, "</Name><Prefix>");
    append_xml(&b, prefix, strlen(prefix));
    append_format(&b, "</Prefix><KeyCount>%d</KeyCount><MaxKeys>%d</MaxKeys>%s<IsTruncated>%s</IsTruncated>", n, max,
                  he ? "<EncodingType>url</EncodingType>" : "", trunc ? "true" : "false");
    if (dl) {
        append_text(&b, "<Delimiter>");
        append_xml(&b, delim, dl);
        append_text(&b, "</Delimiter>");
    }
    if (trunc) {
        const char *t = v2 ? "NextContinuationToken" : "NextMarker";
        append_format(&b, "<%s>", t);
        append_xml(&b, last, strlen(last));
        append_format(&b, "</%s>", t);
    }
    append(&b, items.p, items.n);
    if (cp.n) append(&b, cp.p, cp.n);
    free(items.p);
    free(cp.p);
    append_text(&b, "</ListBucketResult>");
    respond_xml(c, 200, &b);
}

static void unescape_xml(char *s) {
    char *d = s;
    while (*s) {
        if (*s == '&') {
            if (!strncmp(s, "&amp;", 5)) {
                *d++ = '&';
                s += 5;
                continue;
            }
            if (!strncmp(s, "&lt;", 4)) {
                *d++ = '<';
                s += 4;
                continue;
            }
            if (!strncmp(s, "&gt;", 4)) {
                *d++ = '>';
                s += 4;
                continue;
            }
            if (!strncmp(s, "&#39;", 5)) {
                *d++ = '\'';
                s += 5;
                continue;
            }
            if (!strncmp(s, "&quot;", 6)) {
                *d++ = '"';
                s += 6;
                continue;
            }
        }
        *d++ = *s++;
    }
    *d = 0;
}

// MD5. Source: RFC 1321.
static void md5(const char *data, uint64_t n, unsigned char out[16]) {
    static const uint8_t R[16] = {7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21};
    static uint32_t K[64];
    if (!K[0])
        for (int i = 0; i < 64; i++) K[i] = (uint32_t)(4294967296.0 * __builtin_fabs(__builtin_sin(i + 1)));
    uint32_t h[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    unsigned char tail[128] = {0};
    uint64_t whole = n / 64 * 64, left = n - whole, tail_len = left < 56 ? 64 : 128, bits = n * 8;
    memcpy(tail, data + whole, left);
    tail[left] = 0x80;
    memcpy(tail + tail_len - 8, &bits, 8);
    for (uint64_t at = 0; at < whole + tail_len; at += 64) {
        uint32_t w[16], a = h[0], b = h[1], c = h[2], d = h[3];
        memcpy(w, at < whole ? (const unsigned char *)data + at : tail + (at - whole), 64);
        for (int i = 0; i < 64; i++) {
            uint32_t f, g;
            switch (i / 16) {
            case 0:
                f = (b & c) | (~b & d);
                g = i;
                break;
            case 1:
                f = (d & b) | (~d & c);
                g = (5 * i + 1) % 16;
                break;
            case 2:
                f = b ^ c ^ d;
                g = (3 * i + 5) % 16;
                break;
            default: f = c ^ (b | ~d); g = 7 * i % 16;
            }
            uint32_t x = a + f + K[i] + w[g], r = R[i / 16 * 4 + i % 4];
            a = d, d = c, c = b, b += x << r | x >> (32 - r);
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d;
    }
    memcpy(out, h, 16);
}

static uint32_t crc32_of(const unsigned char *p, size_t n) {
    uint32_t c = ~0u;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
    }
    return ~c;
}

static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static uint32_t decode_crc(const char *s) { // Base64 of four bytes, big-endian
    uint64_t v = 0;
    for (int i = 0; i < 6 && s[i]; i++) {
        const char *at = strchr(BASE64, s[i]);
        v = v << 6 | (at ? (uint64_t)(at - BASE64) : 0);
    }
    return (uint32_t)(v >> 4);
}

static void encode_crc(uint32_t v, char out[9]) {
    uint64_t w = (uint64_t)v << 4;
    for (int i = 0; i < 6; i++) out[i] = BASE64[w >> (30 - 6 * i) & 63];
    strcpy(out + 6, "==");
}

static void make_etag(char out[40], const Blob *b) {
    if (!MD5_ETAGS || (b->len && !b->data)) {
        sprintf(out, "%016lx-1", seq++);
        return;
    }
    unsigned char d[16];
    md5(b->data ? b->data : "", b->len, d);
    for (int i = 0; i < 16; i++) sprintf(out + 2 * i, "%02x", d[i]);
}

#define XML "<?respond_xml version=\"1.0\" encoding=\"UTF-8\"?>"
#define SPACE " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""
static void respond_text(Connection *c, const char *text) {
    Buffer b = {0};
    append_text(&b, text);
    respond_xml(c, 200, &b);
}

// Takes the chunks of an aws-chunked body apart, in place of the body.
static void unchunk(Connection *c) {
    if (!c->body) {
        if (c->decl) c->clen = c->decl;
        return;
    }
    char *o = malloc(c->decl + 1);
    uint64_t n = 0;
    char *p = c->body, *e = p + c->clen;
    while (p < e) {
        uint64_t size = strtoull(p, NULL, 16);
        char *line_end = memmem(p, e - p, "\r\n", 2);
        if (!line_end || !size) break;
        p = line_end + 2;
        if (n + size > c->decl) break;
        memcpy(o + n, p, size);
        n += size;
        p += size + 2;
    }
    free(c->body);
    c->body = o;
    c->clen = n;
}

static void get_bucket(Connection *c, int head) {
    if (!c->pn)
        respond_text(c, XML
                     "<ListAllMyBucketsResult><Owner><ID>1</ID></Owner><Buckets><Bucket><Name>b</Name><CreationDate>"
                     "2026-11-20T00:00:00.000Z</CreationDate></Bucket></Buckets></ListAllMyBucketsResult>");
    else if (head) respond(c, 200, "x-amz-bucket-region: us-east-1\r\n", NULL, 0);
    else if (query_value(c, "location", NULL, 0))
        respond_text(c, XML "<LocationConstraint" SPACE ">us-east-1</LocationConstraint>");
    else if (query_value(c, "versioning", NULL, 0)) respond_text(c, "<VersioningConfiguration" SPACE "/>");
    else if (query_value(c, "uploads", NULL, 0)) respond_text(c, "<ListMultipartUploadsResult/>");
    else list_objects(c, query_value(c, "list-type", NULL, 0));
}

static void get_object(Connection *c, int head) {
    Object *o = find_object(c->path, c->pn);
    if (!o) {
        respond_error(c, 404, "NoSuchKey");
        return;
    }
    uint64_t first = 0, end = o->b->len;
    int code = 200;
    char range[128] = "";
    if (c->hasrange && end) {
        if (c->hasrange == 2) first = end > c->r1 ? end - c->r1 : 0;
        else {
            first = c->r0;
            if (first >= end) {
                respond_error(c, 416, "InvalidRange");
                return;
            }
            if (c->r1 + 1 < end) end = c->r1 + 1;
        }
        code = 206;
        snprintf(range, sizeof range, "Content-Range: bytes %lu-%lu/%lu\r\n", first, end - 1, o->b->len);
    }
    append_format(&c->out,
                  "HTTP/1.1 %d OK\r\nx-amz-request-id: 1\r\nServer: s3hole\r\nDate: %s\r\nLast-Modified: %s\r\n", code,
                  HTTP_DATE, HTTP_DATE);
    append_format(&c->out, "ETag: \"%s\"\r\nAccept-Ranges: bytes\r\n", o->etag);
    if (o->kept) append_text(&c->out, o->kept);
    append_format(&c->out, "%sContent-Length: %lu\r\n\r\n", range, end - first);
    if (!head && end > first) {
        c->src = o->b;
        o->b->ref++;
        c->so = first;
        c->se = end;
    }
}

static Upload **find_upload(Connection *c) {
    char t[64] = "";
    query_value(c, "uploadId", t, sizeof t);
    uint64_t id = strtoull(t, NULL, 10);
    Upload **at = &uploads;
    while (*at && (*at)->id != id) at = &(*at)->next;
    return at;
}

static void put_part(Connection *c, Blob *b) {
    Upload *u = *find_upload(c);
    if (!u) {
        release(b);
        respond_error(c, 404, "NoSuchUpload");
        return;
    }
    char t[64];
    query_value(c, "partNumber", t, sizeof t);
    int number = atoi(t);
    if (number >= u->cap) {
        int room = number * 2 + 16;
        u->parts = realloc(u->parts, room * sizeof *u->parts);
        u->etags = realloc(u->etags, room * sizeof *u->etags);
        u->crcs = realloc(u->crcs, room * sizeof *u->crcs);
        memset(u->parts + u->cap, 0, (room - u->cap) * sizeof *u->parts);
        u->cap = room;
    }
    release(u->parts[number]);
    u->parts[number] = b;
    u->crcs[number] = c->crc;
    u->has_crcs += c->has_crc;
    make_etag(u->etags[number], b);
    if (number > u->n) u->n = number;
    if (c->copysrc[0]) {
        Buffer x = {0};
        append_format(&x,
                      XML "<CopyPartResult><LastModified>%s</LastModified><ETag>&quot;%s&quot;</ETag></CopyPartResult>",
                      XML_DATE, u->etags[number]);
        respond_xml(c, 200, &x);
        return;
    }
    char lines[700];
    snprintf(lines, sizeof lines, "ETag: \"%s\"\r\n%s", u->etags[number], c->sums);
    respond(c, 200, lines, NULL, 0);
}

static void put_object(Connection *c) {
    Blob *b;
    Object *from = NULL;
    if (c->copysrc[0]) {
        char *s = c->copysrc, key[2048];
        if (*s == '/') s++;
        from = find_object(key, percent_decode(key, s, strlen(s), 0));
        if (!from) {
            respond_error(c, 404, "NoSuchKey");
            return;
        }
        b = from->b;
        b->ref++;
    } else {
        b = make_blob(c->clen, c->discard ? NULL : c->body);
        if (!c->discard) c->body = NULL;
    }
    if (query_value(c, "partNumber", NULL, 0)) {
        put_part(c, b);
        return;
    }
    char *kept;
    if (from) kept = from->kept ? strdup(from->kept) : NULL;
    else if (asprintf(&kept, "%s%s", c->meta, c->sums) < 0) kept = NULL;
    Object *o = store_object(c->path, c->pn, b);
    free(o->kept);
    o->kept = kept;
    if (from && from != o) strcpy(o->etag, from->etag);
    else make_etag(o->etag, b);
    if (from) {
        Buffer x = {0};
        append_format(&x,
                      XML "<CopyObjectResult" SPACE
                          "><LastModified>%s</LastModified><ETag>&quot;%s&quot;</ETag></CopyObjectResult>",
                      XML_DATE, o->etag);
        respond_xml(c, 200, &x);
        return;
    }
    char lines[700];
    snprintf(lines, sizeof lines, "ETag: \"%s\"\r\n%s", o->etag, c->sums);
    respond(c, 200, lines, NULL, 0);
}

static void delete_objects(Connection *c) {
    Buffer x = {0};
    append_text(&x, XML "<DeleteResult" SPACE ">");
    if (c->body) {
        c->body[c->clen] = 0;
        int quiet = !!strstr(c->body, "<Quiet>true");
        char *p = c->body;
        while ((p = strstr(p, "<Key>"))) {
            p += 5;
            char *e = strstr(p, "</Key>");
            if (!e) break;
            *e = 0;
            char full[4200];
            unescape_xml(p);
            delete_object(full, snprintf(full, sizeof full, "%.*s/%s", c->pn, c->path, p));
            if (!quiet) {
                append_text(&x, "<Deleted><Key>");
                append_xml(&x, p, strlen(p));
                append_text(&x, "</Key></Deleted>");
            }
            p = e + 6;
        }
    }
    append_text(&x, "</DeleteResult>");
    respond_xml(c, 200, &x);
}

static void begin_upload(Connection *c, const char *key) {
    Upload *u = calloc(1, sizeof *u);
    u->key = strndup(c->path, c->pn);
    u->kept = strdup(c->meta);
    u->id = seq++;
    u->next = uploads;
    uploads = u;
    Buffer x = {0};
    append_text(&x, XML "<InitiateMultipartUploadResult" SPACE "><Bucket>b</Bucket><Key>");
    append_xml(&x, key, strlen(key));
    append_format(&x, "</Key><UploadId>%lu</UploadId></InitiateMultipartUploadResult>", u->id);
    respond_xml(c, 200, &x);
}

static void drop_upload(Upload **at) {
    Upload *u = *at;
    *at = u->next;
    for (int i = 1; i <= u->n; i++) release(u->parts[i]);
    free(u->parts);
    free(u->etags);
    free(u->crcs);
    free(u->kept);
    free(u->key);
    free(u);
}

static Blob *join_parts(Upload *u) {
    uint64_t total = 0, at = 0;
    int all = 1;
    for (int i = 1; i <= u->n; i++)
        if (u->parts[i]) {
            total += u->parts[i]->len;
            if (!u->parts[i]->data) all = 0;
        }
    if (!all || !total) return make_blob(total, NULL);
    char *data = malloc(total + 1);
    for (int i = 1; i <= u->n; i++)
        if (u->parts[i]) {
            memcpy(data + at, u->parts[i]->data, u->parts[i]->len);
            at += u->parts[i]->len;
            release(u->parts[i]); // at once, or it would take twice the memory
            u->parts[i] = NULL;
        }
    return make_blob(total, data);
}

// The checksums of a whole are those of its parts' checksums. Source: Amazon S3 User Guide, "Checking object
// integrity".
static void compose_etag(Upload *u, char out[40]) {
    if (!MD5_ETAGS) {
        sprintf(out, "%016lx-%d", seq++, u->n);
        return;
    }
    char *all = malloc(16 * u->n + 1);
    for (int i = 1; i <= u->n; i++)
        for (int k = 0; k < 16; k++)
            all[16 * (i - 1) + k] = hex_digit(u->etags[i][2 * k]) * 16 + hex_digit(u->etags[i][2 * k + 1]);
    Blob joined = {1, 16 * u->n, all};
    make_etag(out, &joined);
    free(all);
    sprintf(out + 32, "-%d", u->n);
}

static void compose_crc(Upload *u, char out[9]) {
    unsigned char *all = malloc(4 * u->n);
    for (int i = 0; i < u->n; i++)
        for (int k = 0; k < 4; k++) all[4 * i + k] = u->crcs[i + 1] >> (24 - 8 * k);
    encode_crc(crc32_of(all, 4 * u->n), out);
    free(all);
}

static void complete_upload(Connection *c, const char *key) {
    Upload **at = find_upload(c), *u = *at;
    if (!u) {
        respond_error(c, 404, "NoSuchUpload");
        return;
    }
    char etag[40], crc[9] = "", *kept;
    compose_etag(u, etag);
    if (u->n && u->has_crcs >= u->n) compose_crc(u, crc);
    if ((crc[0] ? asprintf(&kept, "%sx-amz-checksum-crc32: %s-%d\r\n", u->kept, crc, u->n)
                : asprintf(&kept, "%s", u->kept)) < 0)
        kept = NULL;
    Object *o = store_object(u->key, strlen(u->key), join_parts(u));
    free(o->kept);
    o->kept = kept;
    strcpy(o->etag, etag);
    Buffer x = {0};
    append_text(&x,
                XML "<CompleteMultipartUploadResult" SPACE "><Location>http://l/b/k</Location><Bucket>b</Bucket><Key>");
    append_xml(&x, key, strlen(key));
    append_format(&x, "</Key><ETag>&quot;%s&quot;</ETag>", etag);
    if (crc[0]) append_format(&x, "<ChecksumCRC32>%s-%d</ChecksumCRC32>", crc, u->n);
    append_text(&x, "</CompleteMultipartUploadResult>");
    drop_upload(at);
    respond_xml(c, 200, &x);
}

static void handle(Connection *c) {
    char *slash = memchr(c->path, '/', c->pn);
    int is_key = slash && slash[1];
    if (slash && !slash[1]) c->pn = slash - c->path;
    if (c->streaming) unchunk(c);
    const char *m = c->method;
    if (!strcmp(m, "GET") || !strcmp(m, "HEAD")) {
        if (is_key) get_object(c, m[0] == 'H');
        else get_bucket(c, m[0] == 'H');
    } else if (!strcmp(m, "PUT")) {
        if (is_key) put_object(c);
        else respond(c, 200, "Location: /b\r\n", NULL, 0);
    } else if (!strcmp(m, "DELETE")) {
        if (query_value(c, "uploadId", NULL, 0)) {
            Upload **at = find_upload(c);
            if (*at) drop_upload(at);
        } else if (is_key) delete_object(c->path, c->pn);
        respond(c, 204, NULL, NULL, 0);
    } else if (!strcmp(m, "POST") && query_value(c, "delete", NULL, 0)) delete_objects(c);
    else if (!strcmp(m, "POST") && query_value(c, "uploads", NULL, 0)) begin_upload(c, slash + 1);
    else if (!strcmp(m, "POST") && query_value(c, "uploadId", NULL, 0)) complete_upload(c, slash + 1);
    else respond_error(c, 501, "NotImplemented");
}

static void watch(Connection *c, uint32_t ev) {
    if (c->ev == ev) return;
    struct epoll_event e = {.events = ev, .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
    c->ev = ev;
}

static void close_connection(Connection *c) {
    if (c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
    if (c->st == WAITING) {
        c->dead = 1;
        return;
    }
    release(c->src);
    free(c->body);
    free(c->in);
    free(c->out.p);
    free(c);
}

static int serve(Connection *c, uint32_t evs);
static int flush_output(Connection *c) {
    for (;;) {
        struct iovec v[3];
        int n = 0;
        if (c->oo < c->out.n) {
            v[n].iov_base = c->out.p + c->oo;
            v[n++].iov_len = c->out.n - c->oo;
        }
        if (c->src && c->so < c->se) {
            uint64_t l = c->se - c->so;
            if (c->src->data) {
                v[n].iov_base = c->src->data + c->so;
                v[n++].iov_len = l;
            } else {
                uint64_t at = c->so % PATTERN_BYTES;
                v[n].iov_base = PATTERN + at;
                v[n++].iov_len = l > PATTERN_BYTES - at ? PATTERN_BYTES - at : l;
            }
        }
        if (!n) break;
        struct msghdr mh = {.msg_iov = v, .msg_iovlen = n};
        ssize_t r = sendmsg(c->fd, &mh, MSG_NOSIGNAL);
        if (r < 0) {
            if (errno == EAGAIN) {
                watch(c, EPOLLOUT);
                return 0;
            }
            return -1;
        }
        size_t h = c->out.n - c->oo;
        if ((size_t)r <= h) c->oo += r;
        else {
            c->oo = c->out.n;
            c->so += r - h;
        }
    }
    c->out.n = c->oo = 0;
    release(c->src);
    c->src = NULL;
    if (c->close) return -1;
    c->st = READ_HEAD;
    watch(c, EPOLLIN);
    return 1;
}

static int answer(Connection *c) {
    handle(c);
    free(c->body);
    c->body = NULL;
    if (LATENCY_US) {
        c->st = WAITING;
        c->due = now_us() + LATENCY_US;
        c->nx = NULL;
        if (last_waiting) last_waiting->nx = c;
        else first_waiting = c;
        last_waiting = c;
        watch(c, 0);
        return 0;
    }
    c->st = WRITE;
    return flush_output(c);
}

static void keep(char *lines, size_t room, const char *name, const char *value) {
    size_t n = strlen(lines);
    if (n + strlen(name) + strlen(value) + 5 < room) sprintf(lines + n, "%s: %s\r\n", name, value);
}

static int parse_head(Connection *c) {
    char *e = memmem(c->in, c->inn, "\r\n\r\n", 4);
    if (!e) return 0;
    size_t hl = e - c->in + 4;
    e[2] = 0;
    char *p = c->in;
    char *sp = strchr(p, ' ');
    if (!sp || sp - p > 7) return -1;
    memcpy(c->method, p, sp - p);
    c->method[sp - p] = 0;
    char *u = sp + 1;
    char *ue = strchr(u, ' ');
    if (!ue) return -1;
    if (!strncmp(u, "http://", 7)) {
        u = strchr(u + 7, '/');
    }
    char *q = memchr(u, '?', ue - u);
    char *pe = q ? q : ue;
    if (pe - u > 2000) return -1;
    c->pn = percent_decode(c->path, u + 1, pe - u - 1, 0);
    int qn = q ? ue - q - 1 : 0;
    if (qn > 4000) return -1;
    memcpy(c->query, q ? q + 1 : "", qn);
    c->query[qn] = 0;
    c->clen = c->decl = 0;
    c->streaming = c->hasrange = 0;
    c->close = 0;
    c->copysrc[0] = c->meta[0] = c->sums[0] = 0;
    c->has_crc = 0;
    int expect = 0;
    char *l = strstr(ue, "\r\n");
    while (l && l[2]) {
        l += 2;
        char *le = strstr(l, "\r\n");
        if (le) *le = 0;
        char *v = strchr(l, ':');
        if (v) {
            *v++ = 0;
            while (*v == ' ') v++;
            switch (l[0] | 32) {
            case 'c':
                if (!strcasecmp(l, "content-length")) c->clen = strtoull(v, NULL, 10);
                else if (!strcasecmp(l, "connection") && !strncasecmp(v, "close", 5)) c->close = 1;
                else if (!strcasecmp(l, "content-type")) keep(c->meta, sizeof c->meta, l, v);
                break;
            case 'e':
                if (!strcasecmp(l, "expect")) expect = 1;
                break;
            case 'r':
                if (!strcasecmp(l, "range") && !strncmp(v, "bytes=", 6)) {
                    v += 6;
                    if (*v == '-') {
                        c->hasrange = 2;
                        c->r1 = strtoull(v + 1, NULL, 10);
                    } else {
                        char *x;
                        c->hasrange = 1;
                        c->r0 = strtoull(v, &x, 10);
                        c->r1 = x[1] ? strtoull(x + 1, NULL, 10) : ~1ull;
                    }
                }
                break;
            case 'x':
                if (!strcasecmp(l, "x-amz-copy-source")) strncpy(c->copysrc, v, 2047);
                else if (!strcasecmp(l, "x-amz-decoded-content-length")) c->decl = strtoull(v, NULL, 10);
                else if (!strcasecmp(l, "x-amz-content-sha256") && !strncmp(v, "STREAMING", 9)) c->streaming = 1;
                else if (!strncasecmp(l, "x-amz-meta-", 11)) keep(c->meta, sizeof c->meta, l, v);
                else if (!strncasecmp(l, "x-amz-checksum-crc", 18) || !strncasecmp(l, "x-amz-checksum-sha", 18))
                    keep(c->sums, sizeof c->sums, l, v);
                if (!strcasecmp(l, "x-amz-checksum-crc32")) c->crc = decode_crc(v), c->has_crc = 1;
                break;
            case 't':
                if (!strcasecmp(l, "transfer-encoding")) {
                    fprintf(stderr, "TE: %s %s\n", c->method, c->path);
                    return -1;
                }
            }
        }
        if (!le) break;
        l = le;
    }
    size_t rest = c->inn - hl;
    c->discard = c->clen > KEEP_MAX;
    c->got = 0;
    if (c->clen) {
        if (!c->discard) c->body = malloc(c->clen + 1);
        size_t take = rest < c->clen ? rest : c->clen;
        if (c->body) memcpy(c->body, c->in + hl, take);
        c->got = take;
        hl += take;
        rest -= take;
    }
    memmove(c->in, c->in + hl, rest);
    c->inn = rest;
    if (expect && c->got < c->clen) {
        const char *k = "HTTP/1.1 100 Continue\r\n\r\n";
        if (send(c->fd, k, strlen(k), MSG_NOSIGNAL) < 0) return -1;
    }
    c->st = READ_BODY;
    return 1;
}

static int serve(Connection *c, uint32_t evs) {
    if (evs & (EPOLLERR | EPOLLHUP) && c->st != READ_BODY && c->st != READ_HEAD) return -1;
    for (;;) {
        switch (c->st) {
        case WAITING: return 0;
        case WRITE: {
            int r = flush_output(c);
            if (r <= 0) return r;
            break;
        }
        case READ_BODY: {
            while (c->got < c->clen) {
                uint64_t w = c->clen - c->got;
                ssize_t r;
                if (c->body) r = recv(c->fd, c->body + c->got, w, 0);
                else r = recv(c->fd, NULL, w > (64 << 20) ? (64 << 20) : w, MSG_TRUNC);
                if (r == 0) return -1;
                if (r < 0) return errno == EAGAIN ? 0 : -1;
                c->got += r;
            }
            int r = answer(c);
            if (r <= 0) return r;
            break;
        }
        case READ_HEAD: {
            if (c->inn) {
                int r = parse_head(c);
                if (r < 0) return -1;
                if (r > 0) break;
            }
            if (c->incap - c->inn < 16384) {
                c->incap = c->incap * 2 + 32768;
                c->in = realloc(c->in, c->incap);
            }
            ssize_t r = recv(c->fd, c->in + c->inn, c->incap - c->inn - 1, 0);
            if (r == 0) return -1;
            if (r < 0) return errno == EAGAIN ? 0 : -1;
            c->inn += r;
            int q = parse_head(c);
            if (q < 0) return -1;
            if (q == 0) {
                if (c->inn > 60000) return -1;
            }
            break;
        }
        }
    }
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    if (getenv("KEEP_MAX")) KEEP_MAX = strtoull(getenv("KEEP_MAX"), NULL, 10);
    if (getenv("LATENCY_US")) LATENCY_US = strtoull(getenv("LATENCY_US"), NULL, 10);
    if (getenv("MD5_ETAGS")) MD5_ETAGS = atoi(getenv("MD5_ETAGS"));
    int port = getenv("PORT") ? atoi(getenv("PORT")) : 9100;
    table = calloc(cap, sizeof *table);
    PATTERN = malloc(PATTERN_BYTES);
    for (size_t i = 0; i < PATTERN_BYTES; i++) PATTERN[i] = (char)(i * 2654435761u >> 13);
    int ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int one = 1;
    setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, 4);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(ls, (void *)&a, sizeof a)) {
        perror("bind");
        return 1;
    }
    listen(ls, 4096);
    ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(ep, EPOLL_CTL_ADD, ls, &e);
    struct epoll_event ev[256];
    for (;;) {
        int to = -1;
        if (first_waiting) {
            int64_t d = (int64_t)first_waiting->due - (int64_t)now_us();
            to = d <= 0 ? 0 : (d + 999) / 1000;
        }
        int n = epoll_wait(ep, ev, 256, to);
        for (int i = 0; i < n; i++) {
            if (!ev[i].data.ptr) {
                for (;;) {
                    int fd = accept4(ls, NULL, NULL, SOCK_NONBLOCK);
                    if (fd < 0) break;
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, 4);
                    Connection *c = calloc(1, sizeof *c);
                    c->fd = fd;
                    c->ev = EPOLLIN;
                    struct epoll_event x = {.events = EPOLLIN, .data.ptr = c};
                    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &x);
                }
            } else {
                Connection *c = ev[i].data.ptr;
                if (serve(c, ev[i].events) < 0) close_connection(c);
            }
        }
        if (first_waiting) {
            uint64_t t = now_us();
            while (first_waiting && first_waiting->due <= t) {
                Connection *c = first_waiting;
                first_waiting = c->nx;
                if (!first_waiting) last_waiting = NULL;
                c->st = WRITE;
                if (c->dead || serve(c, 0) < 0) close_connection(c);
            }
        }
    }
}
