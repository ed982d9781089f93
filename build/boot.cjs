// The main script of the binary: runs the bundled app from the assets, with the code that V8 compiled at build time.
const { getAsset, getRawAsset } = require('node:sea')
const { Script } = require('node:vm')

const source = `(function (require, module, exports) {${getAsset('app.cjs', 'utf8')}\n})`
const script = new Script(source, { filename: 'deadpool.cjs', cachedData: Buffer.from(getRawAsset('app.cache')) })
const app = { exports: {} }
script.runInThisContext()(require, app, app.exports)
