// Writes V8's compiled code of the bundled app: node cache.cjs APP CACHE. Run with --predictable and --random-seed, it
// gives the same bytes every time. The app is run once, so that the functions it needs at its start are in the cache as well.
const { readFileSync, writeFileSync } = require('node:fs')
const { Script } = require('node:vm')

const [, , appFile, cacheFile] = process.argv
const source = `(function (require, module, exports) {${readFileSync(appFile, 'utf8')}\n})`
const script = new Script(source, { filename: 'deadpool.cjs' })
const app = { exports: {} }

process.argv = [process.execPath, process.execPath, ...process.argv.slice(4)]
process.once('exit', () => writeFileSync(cacheFile, script.createCachedData()))
script.runInThisContext()(require, app, app.exports)
