import { registerHooks } from 'node:module'
import { pathToFileURL } from 'node:url'
import { parentPort, workerData } from 'node:worker_threads'
import { carried } from '#carried'
import { shareSecrets } from '../config/secrets.ts'
import { isProbe, type Probe, type ProbeLog } from './define-probe.ts'
import * as face from './face.ts'
import { describeProbe, prepareQuery } from './local.ts'
import { type LookupWatch, watchLookups } from './lookup.ts'
import type { PreparedQuery } from './module.ts'
import type { ThreadReply, ThreadRequest, ThreadStart } from './thread-messages.ts'
import { copyError, copyFacts } from './thrown.ts'

const SCHEME = 'deadpool-library:'

/**
 * Makes the face and the carried libraries importable for a module that has no `node_modules`; a library that is installed
 * beside it goes before the carried one.
 */
function serveLibraries(): void {
  const store = Symbol.for('deadpool.libraries')
  const names = new Set(carried.libraryNames())
  const served: Record<string, Record<string, unknown>> = { deadpool: face }
  Object.assign(globalThis, { [store]: served })
  registerHooks({
    resolve(specifier, context, nextResolve) {
      const resolveAsModule = () => {
        const found = nextResolve(specifier, context)
        const format = formatOf(found.url)
        return format ? { ...found, format } : found
      }
      const virtual = { url: `${SCHEME}${specifier}`, format: 'module', shortCircuit: true } as const
      if (specifier === 'deadpool') return virtual
      if (!names.has(specifier)) return resolveAsModule()
      try {
        return resolveAsModule()
      } catch {
        return virtual // not installed beside the module
      }
    },
    load(url, context, nextLoad) {
      if (!url.startsWith(SCHEME)) return nextLoad(url, context)
      const name = url.slice(SCHEME.length)
      const library = `globalThis[Symbol.for('deadpool.libraries')][${JSON.stringify(name)}]`
      served[name] ??= carried.library(name) as Record<string, unknown>
      return { format: 'module', shortCircuit: true, source: writeExports(served[name], library) }
    },
  })
}

/** The source of a module that exports what `library` evaluates to, as Node does for one of CommonJS. */
function writeExports(exported: Record<string, unknown>, library: string): string {
  const names = Object.keys(exported).filter((key) => key !== 'default')
  const isModule = exported.__esModule === true || exported[Symbol.toStringTag as unknown as string] === 'Module'
  const main = isModule ? `${library}.default` : library
  // Not by their own names within, as one may be a word of the language: a type of dns-packet is called null.
  const [taken, given] = [
    names.map((name, index) => `${JSON.stringify(name)}: _${index}`),
    names.map((name, index) => `_${index} as ${JSON.stringify(name)}`),
  ]
  return `const { ${taken.join(', ')} } = ${library}\nexport { ${given.join(', ')} }\nexport default ${main}`
}

/** A module is an ES module, whatever a `package.json` beside it says; what it has installed is left as it is. */
function formatOf(url: string): string | undefined {
  if (!url.startsWith('file:') || url.includes('/node_modules/')) return undefined
  if (url.endsWith('.ts')) return 'module-typescript'
  return url.endsWith('.js') ? 'module' : undefined
}

async function loadModule(file: string): Promise<Probe> {
  const loaded: { Probe?: unknown } = await import(pathToFileURL(file).href)
  if (!('Probe' in loaded)) throw new Error('it exports no "Probe"; write: export const Probe = defineProbe({ … })')
  if (!isProbe(loaded.Probe)) throw new Error('its "Probe" was not made by defineProbe({ … })')
  return loaded.Probe
}

/** The life of a module thread: load the module, say so, then answer requests until the watcher ends it. */
export async function runModuleThread({ file }: ThreadStart): Promise<void> {
  const port = parentPort
  if (!port) throw new Error('a module thread needs a parent')
  const reply = (message: ThreadReply) => port.postMessage(message)
  serveLibraries()
  shareSecrets((secret) => reply({ kind: 'secret', secret }))
  let probe: Probe
  try {
    probe = await loadModule(file)
  } catch (error) {
    reply({ kind: 'failed', reason: describeLoadError(error) })
    return
  }
  const queries = new Map<number, PreparedQuery>()
  const running = new Map<number, AbortController>()

  async function prepare({ id, key, query }: Extract<ThreadRequest, { kind: 'prepare' }>): Promise<void> {
    try {
      const prepared = await prepareQuery(probe, query)
      queries.set(key, prepared)
      const { problems, facts, criteria, timeoutMs } = prepared
      reply({ kind: 'prepared', id, problems, facts, criteria, timeoutMs })
    } catch (error) {
      reply({ kind: 'error', id, error: copyError(error) })
    }
  }

  async function check(id: number, key: number): Promise<void> {
    const controller = new AbortController()
    running.set(id, controller)
    try {
      const query = queries.get(key)
      if (!query) throw new Error('the query was not prepared')
      const observe = () => query.observe(controller.signal, createThreadLog(id, reply))
      reply({ kind: 'facts', id, ...copyFacts(await watchLookups(createThreadWatch(id, reply), observe)) })
    } catch (error) {
      reply({ kind: 'error', id, error: copyError(error) })
    } finally {
      running.delete(id)
    }
  }

  port.on('message', async (request: ThreadRequest) => {
    switch (request.kind) {
      case 'prepare':
        return prepare(request)
      case 'check':
        return check(request.id, request.key)
      case 'abort':
        return running.get(request.id)?.abort(new Error('the time of the check is over'))
      case 'close':
        queries.get(request.key)?.close()
        return queries.delete(request.key)
    }
  })
  reply({ kind: 'ready', description: describeProbe(probe) })
}

function createThreadWatch(id: number, reply: (message: ThreadReply) => void): LookupWatch {
  return {
    get resolving() {
      return undefined
    },
    set resolving(name) {
      reply({ kind: 'resolving', id, name })
    },
  }
}

function createThreadLog(id: number, reply: (message: ThreadReply) => void): ProbeLog {
  const at = (level: 'debug' | 'info' | 'warn' | 'error') => (message: string) =>
    reply({ kind: 'log', id, level, message: String(message) })
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

function describeLoadError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ERR_MODULE_NOT_FOUND') return error.message.replace(/ imported from .*$/s, '')
  return error.name === 'Error' ? error.message : `${error.name}: ${error.message}`
}

if ((workerData as ThreadStart | null)?.role === 'module') void runModuleThread(workerData as ThreadStart)
