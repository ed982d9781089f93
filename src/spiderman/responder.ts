import { Hono } from 'hono'
import type { Log } from '../log/log.ts'
import type { Verdict } from '../verdict/verdict.ts'
import type { VerdictSource } from './evidence.ts'
import { type Page, writePage } from './page.ts'
import { createFormerTokenCount, createStrangerCount } from './strangers.ts'
import { createTokenCheck } from './token.ts'

export interface ResponderOptions {
  /** The path that is answered, without a slash at its end unless it is `/`; below it each probe and group by its name. */
  baseUrl: string
  tokens: readonly string[]
  /** The server's own name, given in each answer. */
  name: string
  verdicts: Pick<VerdictSource, 'read' | 'readOne' | 'has'>
  log: Log
}

const TEXT = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store', vary: 'accept' }
const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store', vary: 'accept' }
const PLAIN = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' }

/**
 * Creates the Hono app that answers load balancers. It does not listen.
 *
 * Whoever has no token learns nothing, not even which paths there are: 511 (RFC 6585, section 6) and `Auth ERR`.
 */
export function createResponder({ baseUrl, tokens, name, verdicts, log }: ResponderOptions): Hono {
  const findToken = createTokenCheck(tokens)
  const write = createPageCache(name)
  const folder = baseUrl === '/' ? '/' : `${baseUrl}/`
  const strangers = createStrangerCount(log)
  const countFormer = createFormerTokenCount(tokens.length, log)
  const app = new Hono()

  // One handler, and plain responses with plain headers: that is what Hono and its server take the short way with.
  app.all('*', (context) => {
    const { method, path } = context.req
    const authorization = context.req.header('authorization')
    const place = findToken(authorization)
    if (place === 0) {
      strangers.count(authorization !== undefined)
      return new Response('Auth ERR', { status: 511, headers: PLAIN })
    }
    countFormer(place)
    const item = path === baseUrl || path === folder ? undefined : itemOf(path)
    if (item === '') return new Response('not found\n', { status: 404, headers: PLAIN })
    if (method !== 'GET' && method !== 'HEAD') {
      const headers = { ...PLAIN, allow: 'GET, HEAD', connection: 'close' }
      return new Response('use GET\n', { status: 405, headers })
    }
    return answer(item, wantsJson(context.req.header('accept')))
  })

  /** The probe or group that a path below `baseUrl` names, with or without a slash at its end; empty where there is none. */
  function itemOf(path: string): string {
    const name = path.startsWith(folder) ? path.slice(folder.length).replace(/\/$/, '') : ''
    return verdicts.has(name) ? name : ''
  }

  async function answer(item: string | undefined, isJson: boolean): Promise<Response> {
    const verdict = item === undefined ? await verdicts.read() : await verdicts.readOne(item)
    if (!verdict) return new Response('not found\n', { status: 404, headers: PLAIN })
    const { status, json, text } = write(verdict)
    return new Response(isJson ? json : text, { status, headers: isJson ? JSON_TYPE : TEXT })
  }

  app.onError((error, context) => {
    log.error(`an answer failed: ${error.message}`)
    return context.body('DEAD\nthe verdict could not be made; see the log\n', 503, PLAIN)
  })
  return app
}

/** Text is for load balancers and curl; JSON is given to those who ask for it and not, like a browser, for HTML as well. */
function wantsJson(accept: string | undefined): boolean {
  return accept?.includes('application/json') === true && !accept.includes('text/html')
}

/** A page is written once for each verdict, not for each request. */
function createPageCache(name: string): (verdict: Verdict) => Page {
  const pages = new WeakMap<Verdict, Page>()
  return (verdict) => {
    const written = pages.get(verdict)
    if (written) return written
    const page = writePage(verdict, name)
    pages.set(verdict, page)
    return page
  }
}
