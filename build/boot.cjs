// The main script of the binary: runs the bundled app from the assets, with the code that V8 compiled at build time.
const { getAsset, getRawAsset } = require('node:sea')
const { Script } = require('node:vm')

const script = new Script(getAsset('app.cjs', 'utf8'), {
  filename: 'deadpool.cjs',
  cachedData: Buffer.from(getRawAsset('app.cache')),
})
const app = { exports: {} }
script.runInThisContext()(require, app, app.exports)
