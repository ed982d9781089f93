// Writes V8's compiled code of the bundled app: node cache.cjs FOLDER ARGUMENT…, where FOLDER holds the assets. Run with
// --predictable and --random-seed, it gives the same bytes every time. The app is run once, so that the functions it
// needs at its start are in the cache as well.
const { readFileSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { Script } = require('node:vm')

const folder = process.argv[2]
// In the binary the app finds its assets in the binary itself.
const sea = { getAsset: (name) => readFileSync(join(folder, name), 'utf8') }
const script = new Script(sea.getAsset('app.cjs'), { filename: 'deadpool.cjs' })
const app = { exports: {} }

process.argv = [process.execPath, process.execPath, ...process.argv.slice(3)]
process.once('exit', () => writeFileSync(join(folder, 'app.cache'), script.createCachedData()))
script.runInThisContext()((name) => (name === 'node:sea' ? sea : require(name)), app, app.exports)
