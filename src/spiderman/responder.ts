import { Hono } from 'hono'
import type { Log } from '../log/log.ts'
import type { Verdict } from '../verdict/verdict.ts'
import type { ReadVerdict } from './evidence.ts'
import { type Page, writePage } from './page.ts'
import { createStrangerCount } from './strangers.ts'
import { createTokenCheck } from './token.ts'

export interface ResponderOptions {
  /** The path that is answered, without a slash at its end unless it is `/`. */
  baseUrl: string
  tokens: readonly string[]
  /** The server's own name, given in each answer. */
  name: string
  readVerdict: ReadVerdict
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
export function createResponder({ baseUrl, tokens, name, readVerdict, log }: ResponderOptions): Hono {
  const isAllowed = createTokenCheck(tokens)
  const readPage = createPageCache(readVerdict, name)
  const strangers = createStrangerCount(log)
  const app = new Hono()

  // One handler, and plain responses with plain headers: that is what Hono and its server take the short way with.
  app.all('*', (context) => {
    const { method, path } = context.req
    const authorization = context.req.header('authorization')
    if (!isAllowed(authorization)) {
      strangers.count(authorization !== undefined)
      return new Response('Auth ERR', { status: 511, headers: PLAIN })
    }
    if (path !== baseUrl && path !== `${baseUrl}/`) return new Response('not found\n', { status: 404, headers: PLAIN })
    if (method !== 'GET' && method !== 'HEAD') {
      const headers = { ...PLAIN, allow: 'GET, HEAD', connection: 'close' }
      return new Response('use GET\n', { status: 405, headers })
    }
    return answer(wantsJson(context.req.header('accept')))
  })

  async function answer(isJson: boolean): Promise<Response> {
    const { status, json, text } = await readPage()
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
function createPageCache(readVerdict: ReadVerdict, name: string): () => Promise<Page> {
  let written: { verdict: Verdict; page: Page } | undefined
  return async () => {
    const verdict = await readVerdict()
    if (written?.verdict !== verdict) written = { verdict, page: writePage(verdict, name) }
    return written.page
  }
}
