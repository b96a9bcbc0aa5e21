/**
 * A model hub on this machine: the addresses, headers, redirects and refusals of the real one, faults on demand.
 *
 * Large files are redirected to a second origin (the "CDN"), which refuses requests that carry the token; small ones
 * to another path of the same origin. Everything that the client is not known to need is recorded as unexpected.
 */

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeRepo {
  readonly commit: string;
  /** Contents by path. */
  readonly files: Readonly<Record<string, Buffer>>;
  /** Branches and tags besides 'main'. */
  readonly refs?: Readonly<Record<string, string>>;
  /** Only requests with this token may see the repository. */
  readonly token?: string;
  readonly gated?: boolean;
  /** Whether large files are offered through the hub's chunk protocol too. */
  readonly xet?: boolean;
  /** What the listing says of a path instead of the truth. */
  readonly lies?: Readonly<Record<string, object>>;
}

/** What a request is for. 'probe' asks for the first byte only, 'content' for more. */
export type Purpose = 'info' | 'tree' | 'probe' | 'content';

export interface Seen {
  readonly purpose: Purpose;
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
  /** Bytes of content that were sent. */
  sent: number;
}

export type Fault =
  | { readonly kind: 'status'; readonly status: number; readonly headers?: Record<string, string> }
  /** The connection breaks after so many bytes of the answer. */
  | { readonly kind: 'cut'; readonly after: number }
  /** The answer stops after so many bytes, the connection stays. */
  | { readonly kind: 'stall'; readonly after: number }
  /** A byte of the answer is wrong. */
  | { readonly kind: 'corrupt' }
  | { readonly kind: 'ignoreRange' }
  /** The answer waits for this. */
  | { readonly kind: 'wait'; readonly until: Promise<unknown> };

interface PlannedFault {
  readonly purpose: Purpose;
  readonly path: string;
  readonly fault: Fault;
}

/** Files from this size on are kept by hash on the CDN. */
const LARGE = 1024;
const PAGE = 4;

export function gitHash(content: Buffer): string {
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
}

export function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

export function etagOf(content: Buffer): string {
  return content.length >= LARGE ? sha256(content) : gitHash(content);
}

export class FakeHub {
  readonly seen: Seen[] = [];
  readonly unexpected: string[] = [];
  url = '';
  private cdnUrl = '';
  private readonly servers: Server[] = [];
  private readonly faults: PlannedFault[] = [];
  private readonly watchers: { purpose: Purpose; count: number; done: () => void }[] = [];

  private constructor(private readonly repos: Record<string, FakeRepo>) {}

  static async start(repos: Record<string, FakeRepo>): Promise<FakeHub> {
    const hub = new FakeHub(repos);
    hub.url = await hub.listen((request, response) => hub.serveHub(request, response));
    hub.cdnUrl = await hub.listen((request, response) => hub.serveCdn(request, response));
    return hub;
  }

  async stop(): Promise<void> {
    for (const server of this.servers) {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
  }

  /** The next request of this purpose whose path ends like this goes wrong; faults of one kind queue up. */
  plan(purpose: Purpose, path: string, fault: Fault): void {
    this.faults.push({ purpose, path, fault });
  }

  get plannedFaults(): number {
    return this.faults.length;
  }

  /** Settles when so many requests of this purpose have come. */
  arrived(purpose: Purpose, count: number): Promise<void> {
    return new Promise((done) => {
      this.watchers.push({ purpose, count, done });
      this.wakeWatchers();
    });
  }

  count(purpose: Purpose, path = ''): number {
    return this.seen.filter((one) => one.purpose === purpose && one.path.endsWith(path)).length;
  }

  /** Ranges of the requests for a file's content, in order; undefined for the whole file. */
  ranges(path: string): (string | undefined)[] {
    return this.seen
      .filter((one) => one.purpose === 'content' && one.path === path)
      .map((one) => one.range);
  }

  private async listen(
    serve: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
  ): Promise<string> {
    const server = createServer((request, response) => {
      serve(request, response).catch((error) => {
        this.unexpected.push(`the fake hub failed: ${error}`);
        response.destroy();
      });
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    this.servers.push(server);
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  private async serveHub(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', this.url);
    const info = /^\/api\/models\/(.+)\/revision\/([^/]+)$/.exec(url.pathname);
    const tree = /^\/api\/models\/(.+)\/tree\/([^/]+)$/.exec(url.pathname);
    const file = /^(\/api\/resolve-cache\/models)?\/(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(
      url.pathname,
    );
    if (request.method !== 'GET') return this.refuseUnexpected(request, response);
    if (info) return await this.serveInfo(request, response, info[1] ?? '', info[2] ?? '');
    if (tree) return await this.serveTree(request, response, url, tree[1] ?? '', tree[2] ?? '');
    if (file) return await this.serveFile(request, response, file);
    this.refuseUnexpected(request, response);
  }

  private async serveInfo(
    request: IncomingMessage,
    response: ServerResponse,
    name: string,
    revision: string,
  ): Promise<void> {
    const seen = this.note(request, 'info', name);
    if (await this.fails(seen, response)) return;
    const found = this.find(request, response, name, decodeURIComponent(revision));
    if (!found) return;
    this.sendJson(response, {
      _id: '0',
      id: name,
      private: false,
      gated: found.repo.gated ?? false,
      downloads: 0,
      likes: 0,
      lastModified: '2026-01-01T00:00:00.000Z',
      sha: found.commit,
    });
  }

  private async serveTree(
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    name: string,
    revision: string,
  ): Promise<void> {
    const seen = this.note(request, 'tree', name);
    if (url.searchParams.get('recursive') !== 'true')
      return this.refuseUnexpected(request, response);
    if (await this.fails(seen, response)) return;
    const found = this.find(request, response, name, revision);
    if (!found) return;
    const files = Object.entries(found.repo.files);
    const folders = [...new Set(files.map(([path]) => path).filter((path) => path.includes('/')))];
    const entries = [
      ...folders.map((path) => ({
        type: 'directory',
        path: path.split('/')[0],
        oid: '0',
        size: 0,
      })),
      ...files.map(([path, content]) => ({
        ...treeEntry(path, content),
        ...found.repo.lies?.[path],
      })),
    ];
    const start = Number(url.searchParams.get('cursor') ?? 0);
    if (start + PAGE < entries.length) {
      url.searchParams.set('cursor', String(start + PAGE));
      response.setHeader('Link', `<${url.href}>; rel="next"`);
    }
    this.sendJson(response, entries.slice(start, start + PAGE));
  }

  private async serveFile(
    request: IncomingMessage,
    response: ServerResponse,
    [, redirected, name = '', revision = '', path = '']: RegExpExecArray,
  ): Promise<void> {
    const found = this.find(request, response, name, revision);
    if (!found) return;
    const content = found.repo.files[decodeURI(path)];
    if (!content) return this.refuse(response, 404, 'EntryNotFound');
    const large = content.length >= LARGE;
    response.setHeader('X-Repo-Commit', found.commit);
    response.setHeader('ETag', `"${gitHash(content)}"`);
    if (redirected) return await this.sendContent(request, response, decodeURI(path), content);
    if (!large) {
      response.writeHead(307, { Location: `/api/resolve-cache/models${request.url}` }).end();
      return;
    }
    response.setHeader('X-Linked-Etag', `"${sha256(content)}"`);
    response.setHeader('X-Linked-Size', content.length);
    if (found.repo.xet && request.headers.accept?.includes('xet-fileinfo')) {
      this.note(request, 'probe', path);
      response.setHeader('X-Xet-Hash', sha256(content));
      const links = ['xet-auth', 'xet-reconstruction-info'];
      response.setHeader('Link', links.map((rel) => `<${this.url}/xet>; rel="${rel}"`).join(', '));
      this.sendJson(response, {}, 'application/vnd.xet-fileinfo+json');
      return;
    }
    const location = `${this.cdnUrl}/${encodeURIComponent(name)}/${sha256(content)}/${path}`;
    response.writeHead(302, { Location: location }).end();
  }

  private async serveCdn(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, name = '', hash, ...path] = (request.url ?? '').split('/');
    const repo = this.repos[decodeURIComponent(name)];
    const content = repo?.files[decodeURI(path.join('/'))];
    const leaks = request.headers.authorization !== undefined;
    if (request.method !== 'GET' || leaks || !content || sha256(content) !== hash) {
      return this.refuseUnexpected(request, response);
    }
    response.setHeader('ETag', '"the-cdn-has-its-own"');
    await this.sendContent(request, response, decodeURI(path.join('/')), content);
  }

  private async sendContent(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    content: Buffer,
  ): Promise<void> {
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (request.headers.range !== undefined && !range)
      return this.refuseUnexpected(request, response);
    const probe = request.headers.range === 'bytes=0-0';
    const seen = this.note(request, probe ? 'probe' : 'content', path);
    const fault = this.takeFault(seen);
    if (fault?.kind === 'wait') await fault.until;
    if (fault?.kind === 'status') {
      response.writeHead(fault.status, fault.headers).end();
      return;
    }
    let body = content;
    let status = 200;
    if (range && fault?.kind !== 'ignoreRange') {
      const start = Number(range[1]);
      const end = Math.min(Number(range[2]), content.length - 1);
      if (start > end) {
        response.writeHead(416, { 'Content-Range': `bytes */${content.length}` }).end();
        return;
      }
      status = 206;
      body = content.subarray(start, end + 1);
      response.setHeader('Content-Range', `bytes ${start}-${end}/${content.length}`);
    }
    if (fault?.kind === 'corrupt')
      body = Buffer.from(body.map((byte, i) => (i === 0 ? byte ^ 1 : byte)));
    response.writeHead(status, { 'Content-Length': body.length, 'Accept-Ranges': 'bytes' });
    await this.sendBody(response, body, fault, seen);
  }

  private async sendBody(
    response: ServerResponse,
    body: Buffer,
    fault: Fault | undefined,
    seen: Seen,
  ): Promise<void> {
    const limit = fault?.kind === 'cut' || fault?.kind === 'stall' ? fault.after : body.length;
    const part = body.subarray(0, limit);
    seen.sent = part.length;
    await new Promise<void>((done) => response.write(part, () => done()));
    if (fault?.kind === 'stall') return;
    if (fault?.kind === 'cut') response.destroy();
    else response.end();
  }

  private find(
    request: IncomingMessage,
    response: ServerResponse,
    name: string,
    revision: string,
  ): { repo: FakeRepo; commit: string } | undefined {
    const repo = this.repos[name];
    const token = request.headers.authorization?.replace(/^Bearer /, '');
    if (!repo) {
      this.refuse(response, 401, 'RepoNotFound');
    } else if (repo.token !== undefined && token !== repo.token) {
      if (repo.gated) this.refuse(response, 403, 'GatedRepo');
      else this.refuse(response, 401, 'RepoNotFound');
    } else {
      const named = { main: repo.commit, ...repo.refs }[revision];
      if (named !== undefined || revision === repo.commit)
        return { repo, commit: named ?? revision };
      this.refuse(response, 404, 'RevisionNotFound');
    }
    return undefined;
  }

  /** Faults of the API, where only statuses and waiting make sense. */
  private async fails(seen: Seen, response: ServerResponse): Promise<boolean> {
    const fault = this.takeFault(seen);
    if (fault?.kind === 'wait') await fault.until;
    if (fault?.kind === 'status') response.writeHead(fault.status, fault.headers).end();
    if (fault?.kind === 'cut') response.destroy();
    return fault?.kind === 'status' || fault?.kind === 'cut';
  }

  private takeFault(seen: Seen): Fault | undefined {
    const at = this.faults.findIndex(
      ({ purpose, path }) => purpose === seen.purpose && seen.path.endsWith(path),
    );
    return at < 0 ? undefined : this.faults.splice(at, 1)[0]?.fault;
  }

  private note(request: IncomingMessage, purpose: Purpose, path: string): Seen {
    const { range, authorization } = request.headers;
    const seen = { purpose, path, range, authorization, sent: 0 };
    this.seen.push(seen);
    this.wakeWatchers();
    return seen;
  }

  private wakeWatchers(): void {
    for (const { purpose, count, done } of this.watchers) if (this.count(purpose) >= count) done();
  }

  private sendJson(response: ServerResponse, value: unknown, type = 'application/json'): void {
    response.setHeader('Content-Type', `${type}; charset=utf-8`);
    response.end(JSON.stringify(value));
  }

  private refuse(response: ServerResponse, status: number, code: string): void {
    response.writeHead(status, { 'X-Error-Code': code, 'X-Error-Message': `${code} (fake)` }).end();
  }

  private refuseUnexpected(request: IncomingMessage, response: ServerResponse): void {
    this.unexpected.push(`${request.method} ${request.url} ${JSON.stringify(request.headers)}`);
    response.writeHead(400).end();
  }
}

function treeEntry(path: string, content: Buffer): object {
  const entry = { type: 'file', path, size: content.length, oid: gitHash(content) };
  if (content.length < LARGE) return entry;
  const lfs = { oid: sha256(content), size: content.length, pointerSize: 134 };
  return { ...entry, oid: gitHash(Buffer.from(lfs.oid)), lfs };
}
