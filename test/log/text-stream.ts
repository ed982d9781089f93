import { Writable } from 'node:stream'

/** A stream that keeps what is written to it, in the place of stdout or stderr. */
export function createTextStream() {
  let text = ''
  const stream = new Writable({
    decodeStrings: false,
    write(chunk, _encoding, done) {
      text += chunk
      done()
    },
  })
  return {
    stream,
    get text() {
      return text
    },
    get lines() {
      return text.split('\n').slice(0, -1)
    },
  }
}
