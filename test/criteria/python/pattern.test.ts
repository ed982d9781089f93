import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { PatternError } from '../../../src/criteria/python/cursor.ts'
import { compileFinder, compilePattern } from '../../../src/criteria/python/pattern.ts'

const raw = String.raw

// What `re.search(pattern, text)` of Python 3.11 answered.
const ANSWERS = [
  // what the seed asks
  { pattern: 'elasticsearch+ green+', text: '1690000000 12:00:00 elasticsearch green 3 3 12 6\n', found: true },
  { pattern: 'elasticsearch+ green+', text: '1690000000 12:00:00 elasticsearch red 1 1 4 2\n', found: false },
  { pattern: raw`"status"\s*:\s*"(green|yellow)"`, text: '{"status" : "yellow"}', found: true },
  { pattern: raw`"status"\s*:\s*"(green|yellow)"`, text: '{"status":"red"}', found: false },
  // anchors
  { pattern: 'green$', text: 'green\n', found: true },
  { pattern: 'green$', text: 'green\n\n', found: false },
  { pattern: 'green$', text: 'green\r\n', found: false },
  { pattern: raw`green\Z`, text: 'green\n', found: false },
  { pattern: raw`green\Z`, text: 'green', found: true },
  { pattern: '^$', text: '\n', found: true },
  { pattern: '^$', text: '\n\n', found: false },
  { pattern: '(?m)^$', text: 'a\n\nb', found: true },
  { pattern: '(?m)^green$', text: 'red\ngreen\nred', found: true },
  { pattern: '^green$', text: 'red\ngreen', found: false },
  { pattern: raw`\Agreen`, text: '\ngreen', found: false },
  { pattern: raw`(?m)\Agreen`, text: 'red\ngreen', found: false },
  { pattern: '(?m:^)green', text: 'red\ngreen', found: true },
  { pattern: '(green$|^ok$)', text: 'x green\n', found: true },
  { pattern: raw`green$\s*`, text: 'green\n', found: true },
  { pattern: '(?:,|$)+', text: 'green\n', found: true },
  { pattern: '(?m)$', text: '', found: true },
  // the dot
  { pattern: 'red.green', text: 'red\ngreen', found: false },
  { pattern: '(?s)red.green', text: 'red\ngreen', found: true },
  { pattern: '(?s:red.)green', text: 'red\ngreen', found: true },
  { pattern: '(?s)red(?-s:.)green', text: 'red\ngreen', found: false },
  { pattern: '^.$', text: '😀', found: true },
  { pattern: 'a.b', text: 'a\rb', found: true },
  { pattern: 'a.b', text: 'a\u{2028}b', found: true },
  // words beyond ASCII
  { pattern: raw`^\w+$`, text: 'зелёный', found: true },
  { pattern: raw`^\w+$`, text: 'e\u{301}', found: false },
  { pattern: raw`^[\w-]+$`, text: 'зелёный-7', found: true },
  { pattern: raw`^\d+$`, text: '٣٤', found: true },
  { pattern: raw`^[\d.]+$`, text: '٣.٤', found: true },
  { pattern: raw`^\w$`, text: '²', found: true },
  { pattern: raw`^\d$`, text: '²', found: false },
  { pattern: raw`^\s$`, text: '\xa0', found: true },
  { pattern: raw`^[\s]$`, text: '\x1c', found: true },
  { pattern: raw`^\S$`, text: '\u{2003}', found: false },
  { pattern: raw`^\W$`, text: 'é', found: false },
  { pattern: raw`^[\W]$`, text: 'é', found: false },
  { pattern: raw`^[^\W\d_]+$`, text: 'Grün', found: true },
  { pattern: raw`^[^\W\d_]+$`, text: 'Grün7', found: false },
  { pattern: raw`^[\S\n]+$`, text: 'a\nb', found: true },
  { pattern: raw`^[\D]$`, text: '٣', found: false },
  { pattern: raw`(?a)^\w+$`, text: 'зелёный', found: false },
  { pattern: raw`(?a)^[^\W]+$`, text: 'green', found: true },
  { pattern: raw`(?a)^\s$`, text: '\xa0', found: false },
  // word boundaries
  { pattern: raw`\bgreen\b`, text: 'is green.', found: true },
  { pattern: raw`\bgreen\b`, text: 'evergreen', found: false },
  { pattern: raw`\bgreen\b`, text: 'égreen', found: false },
  { pattern: raw`\bgreen\b`, text: 'greené', found: false },
  { pattern: raw`\bзелёный\b`, text: 'статус: зелёный', found: true },
  { pattern: raw`\bзелёный\b`, text: 'незелёный', found: false },
  { pattern: raw`\Bgreen`, text: 'égreen', found: true },
  { pattern: raw`(?a)\bgreen`, text: 'égreen', found: true },
  { pattern: raw`(?m)^green\b`, text: 'я\ngreen я', found: true },
  { pattern: raw`\bgreen$`, text: 'я green\n', found: true },
  { pattern: raw`я\b.*\bgreen`, text: 'я, green', found: true },
  { pattern: raw`\b[^x]*\b`, text: '—', found: false },
  // case
  { pattern: '(?i)GREEN', text: 'Green', found: true },
  { pattern: '(?i)ЗЕЛЁНЫЙ', text: 'Зелёный', found: true },
  { pattern: '(?i)straße', text: 'STRASSE', found: false },
  { pattern: '(?i)ß', text: 'ẞ', found: true },
  { pattern: '(?i)k', text: '\u{212a}', found: true },
  { pattern: '(?ai)k', text: '\u{212a}', found: false },
  { pattern: '(?ai)k', text: 'K', found: true },
  { pattern: '(?i)i', text: 'ı', found: true },
  { pattern: '(?i)[h-j]', text: 'İ', found: true },
  { pattern: '(?i)[а-я]+Ё', text: 'ЖЁ', found: true },
  { pattern: '(?i:gre)en', text: 'GREen', found: true },
  { pattern: '(?i:gre)en', text: 'GREEN', found: false },
  { pattern: '(?i)gr(?-i:e)en', text: 'GReEN', found: true },
  { pattern: '(?i)gr(?-i:e)en', text: 'GREEN', found: false },
  { pattern: '(?i)[^a-z]', text: 'Q', found: false },
  { pattern: raw`(?i)[^\W_é]`, text: 'É', found: false },
  { pattern: raw`(?i)[\Wx]`, text: 'ι', found: false },
  { pattern: raw`(?i)^[\w-]$`, text: '\u{345}', found: false },
  { pattern: '(?i)(?m)^OK$', text: 'no\nok', found: true },
  // repeats
  { pattern: '^a{,2}$', text: 'aa', found: true },
  { pattern: '^a{,2}$', text: 'aaa', found: false },
  { pattern: '^a{,2}$', text: 'a{,2}', found: false },
  { pattern: '^a{,}$', text: 'aaaa', found: true },
  { pattern: 'a{}', text: 'a{}', found: true },
  { pattern: 'a{x', text: 'a{x', found: true },
  { pattern: '^a{2}$', text: 'aa', found: true },
  { pattern: '^a{2,3}?$', text: 'aaaa', found: false },
  { pattern: '^(?:ab){2,}$', text: 'ababab', found: true },
  { pattern: '(?:a*)*b', text: 'aaab', found: true },
  { pattern: '^a+?b$', text: 'aaab', found: true },
  // groups
  { pattern: raw`(?P<color>green|yellow) (?P<n>\d+)`, text: 'green 3', found: true },
  { pattern: '(?:red|)green', text: 'green', found: true },
  { pattern: '()|x', text: '', found: true },
  { pattern: 'gr(?#comment)een', text: 'green', found: true },
  { pattern: '((a)|(b))+c', text: 'abc', found: true },
  // escapes
  { pattern: raw`\x67reen`, text: 'green', found: true },
  { pattern: raw`\u0433`, text: 'г', found: true },
  { pattern: raw`\U0001F600`, text: '😀', found: true },
  { pattern: raw`\101`, text: 'A', found: true },
  { pattern: raw`\0`, text: '\x00', found: true },
  { pattern: raw`[\b]`, text: '\x08', found: true },
  { pattern: raw`[\101]`, text: 'A', found: true },
  { pattern: raw`\.\*\[\]`, text: '.*[]', found: true },
  { pattern: raw`\-\ \#`, text: '- #', found: true },
  { pattern: raw`\a\f\v\t\r`, text: '\x07\x0c\x0b\t\r', found: true },
  { pattern: raw`{"a":\[1\]}`, text: '{"a":[1]}', found: true },
  // sets
  { pattern: '^[]a]+$', text: ']a]', found: true },
  { pattern: '^[^]a]$', text: ']', found: false },
  { pattern: '^[a-]+$', text: 'a-a', found: true },
  { pattern: '^[-a]+$', text: 'a-', found: true },
  { pattern: raw`^[a\-z]+$`, text: 'm', found: false },
  { pattern: '^[+--]+$', text: ',', found: true },
  { pattern: raw`^[\]\[]+$`, text: '[]', found: true },
  { pattern: '^[$^]+$', text: '$^', found: true },
  { pattern: '[a-f&&[d-z]', text: '&', found: true },
  { pattern: raw`^[^\n]+$`, text: 'a\n', found: true },
  { pattern: raw`^[\\]$`, text: '\\', found: true },
  { pattern: '^[ё-ї]$', text: 'є', found: true },
  { pattern: '^[а-я]$', text: 'ё', found: false },
  // verbose patterns
  { pattern: '(?x) green  # the colour\n \\s+ \\d+', text: 'green 3', found: true },
  { pattern: '(?x)gr een', text: 'green', found: true },
  { pattern: raw`(?x)gr\ een`, text: 'gr een', found: true },
  { pattern: '(?x)gr[ ]een', text: 'gr een', found: true },
  { pattern: '(?x)a + b', text: 'aaab', found: true },
  { pattern: '(?x: a b )c d', text: 'abc d', found: true },
]

for (const { pattern, text, found } of ANSWERS) {
  const name = `${JSON.stringify(pattern)} ${found ? 'in' : 'not in'} ${JSON.stringify(text)}`
  test(`compilePattern() finds what Python finds: ${name}`, () => {
    assert.equal(compilePattern(pattern)(text), found)
  })
}

const LINEAR = 'which RE2 does not know, since it cannot be matched in linear time'
const MORE_AFTER =
  'has a "$" with more after it, which RE2 cannot match as Python does; ' +
  'write "\\Z" for the end of the text, "(?m:$)" for the end of a line'

const REFUSED: { pattern: string; message: string }[] = [
  { pattern: '[', message: 'is not a pattern: missing closing ]' },
  { pattern: '[]', message: 'is not a pattern: missing closing ]' },
  { pattern: '[^]a', message: 'is not a pattern: missing closing ]' },
  { pattern: '[a-', message: 'is not a pattern: missing closing ]' },
  { pattern: '(', message: 'is not a pattern: missing closing )' },
  { pattern: '(?#x', message: 'is not a pattern: missing closing ) of a comment' },
  { pattern: 'a)', message: 'is not a pattern: a ")" without its "("' },
  { pattern: '*a', message: 'is not a pattern: nothing to repeat before "*"' },
  { pattern: '^*', message: 'is not a pattern: nothing to repeat before "*"' },
  { pattern: 'a**', message: 'is not a pattern: "*" repeats what is repeated already' },
  { pattern: 'a{2,1}', message: 'is not a pattern: "{2,1}" is at least more than at most' },
  { pattern: 'a\\', message: 'is not a pattern: it ends in a lone "\\"' },
  { pattern: raw`\q`, message: raw`is not a pattern: unknown escape "\q"` },
  { pattern: raw`[\8]`, message: raw`is not a pattern: unknown escape "\8"` },
  { pattern: raw`\x1`, message: raw`is not a pattern: incomplete escape "\x1"` },
  { pattern: raw`\U00110000`, message: raw`is not a pattern: incomplete escape "\U00110000"` },
  { pattern: raw`\400`, message: raw`is not a pattern: "\400" is past "\377"` },
  { pattern: raw`\N{EM DASH}`, message: raw`names a character by "\N"; write the character itself` },
  { pattern: '[z-a]', message: 'is not a pattern: a range in a set must go from one character to a later one' },
  { pattern: raw`[a-\d]`, message: 'is not a pattern: a range in a set must go from one character to a later one' },
  {
    pattern: '[[:alpha:]]',
    message: 'has "[:alpha:]", which Python\'s syntax does not know; write such as [A-Za-z] or \\d',
  },
  { pattern: '(?P>x)', message: 'is not a pattern: unknown group "(?P>"' },
  { pattern: '(?q)a', message: 'is not a pattern: unknown flag "q"' },
  { pattern: '(?L)a', message: 'has the flag "L", which is for bytes; leave it out' },
  { pattern: 'a(?i)b', message: 'has "(?i)" after its start; write it first, or "(?i:…)" around a part' },
  { pattern: '(?a:b)', message: 'has "(?a:"; write "(?a)" at the start for the whole of it' },
  { pattern: 'a{1001}', message: 'repeats more than 1000 times, the limit of RE2' },
  { pattern: '(?:a{100}){100}', message: 'repeats more than 1000 times, the limit of RE2' },
  { pattern: `${'('.repeat(300)}a${')'.repeat(300)}`, message: 'is not a pattern: groups more than 200 deep' },
  { pattern: '(?!red)green', message: `has a look-ahead "(?!", ${LINEAR}` },
  { pattern: 'green(?= 3)', message: `has a look-ahead "(?=", ${LINEAR}` },
  { pattern: '(?<=is )green', message: `has a look-behind "(?<=", ${LINEAR}` },
  { pattern: '(?<!not )green', message: `has a look-behind "(?<!", ${LINEAR}` },
  { pattern: raw`(a)\1`, message: raw`has a back reference "\1", ${LINEAR}` },
  { pattern: '(?P<x>a)(?P=x)', message: `has a back reference "(?P=", ${LINEAR}` },
  { pattern: '(a)?(?(1)b|c)', message: `has a conditional group "(?(", ${LINEAR}` },
  { pattern: '(?>a+)b', message: `has an atomic group "(?>", ${LINEAR}` },
  { pattern: 'a++b', message: `has a possessive repeat "++", ${LINEAR}` },
  { pattern: 'a$b', message: MORE_AFTER },
  { pattern: raw`green$\n`, message: MORE_AFTER },
  { pattern: raw`green$\Z`, message: MORE_AFTER },
  { pattern: '(?:a|$){2}', message: MORE_AFTER },
]

for (const { pattern, message } of REFUSED) {
  test(`compilePattern() refuses ${JSON.stringify(pattern.slice(0, 40))}`, () => {
    assert.throws(() => compilePattern(pattern), { name: 'PatternError', message })
  })
}

test('compilePattern() takes any text as a pattern or refuses it', () => {
  const syntax = fc.constantFrom(...raw`()[]{}^$.|?*+\,:-abdDsSwWxuUNZ019P<>=!#i é😀`)
  const pattern = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: syntax, maxLength: 12 }))
  fc.assert(
    fc.property(pattern, fc.string({ unit: 'grapheme' }), (written, text) => {
      try {
        assert.equal(typeof compilePattern(written)(text), 'boolean')
      } catch (error) {
        assert.ok(error instanceof PatternError, `${error}`)
      }
    }),
    { numRuns: 2000 },
  )
})

test('compilePattern() agrees with RegExp where the dialects agree', () => {
  const { pattern } = fc.letrec<{ atom: string; sequence: string; pattern: string }>((tie) => ({
    atom: fc.oneof(
      { withCrossShrink: true, maxDepth: 2 },
      fc.constantFrom('a', 'b', 'c', '.', '[ab]', '[^a]', raw`\d`, raw`\w`, raw`\b`),
      tie('pattern').map((inner) => `(?:${inner})`),
    ),
    sequence: fc
      .array(fc.tuple(tie('atom'), fc.constantFrom('', '', '*', '+', '?', '{1,2}')), { minLength: 1, maxLength: 4 })
      .map((atoms) => atoms.map(([atom, repeat]) => (atom === raw`\b` ? atom : atom + repeat)).join('')),
    pattern: fc.array(tie('sequence'), { minLength: 1, maxLength: 3 }).map((branches) => branches.join('|')),
  }))
  // Short, since it is RegExp that can take for ever.
  const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '1', ' '), maxLength: 6 })
  const start = fc.constantFrom('', '^')
  const end = fc.constantFrom('', '$')
  fc.assert(
    fc.property(start, pattern, end, text, (from, middle, to, within) => {
      const written = `${from}(?:${middle})${to}`
      assert.equal(compilePattern(written)(within), new RegExp(written).test(within))
    }),
    { numRuns: 1500 },
  )
})

const HOSTILE = ['(a+)+$', '^(a|a)*$', '(a*)*b', raw`\b(\w+\s?)+\b$`]

for (const pattern of HOSTILE) {
  test(`compilePattern() searches a hostile text in linear time: ${pattern}`, () => {
    const search = compilePattern(pattern)
    const measure = (length: number) => {
      const text = `${'a'.repeat(length)}!`
      const began = performance.now()
      assert.equal(search(text), false)
      return performance.now() - began
    }
    measure(1000)
    const short = measure(10_000)
    // Ten times the text; a quadratic search would take a hundred times as long, an exponential one for ever.
    assert.ok(measure(100_000) < 50 * short + 250)
  })
}

// What `re.search(pattern, text)` of Python 3.11 answered: its `end()` and those of its `groupdict()` that are not None.
const FOUND = [
  { pattern: raw`load (?P<load>\d+)`, text: 'the load 12 is', end: 11, groups: { load: '12' } },
  { pattern: '(?P<all>a+)', text: 'baaa', end: 4, groups: { all: 'aaa' } },
  { pattern: '(?P<few>a+?)', text: 'baaa', end: 2, groups: { few: 'a' } },
  { pattern: '(?P<few>a{2,3}?)(?P<rest>a*)', text: 'aaaa', end: 4, groups: { few: 'aa', rest: 'aa' } },
  { pattern: '(?P<one>a)|(?P<other>b)', text: 'xb', end: 2, groups: { other: 'b' } },
  { pattern: '(x)(?P<named>y)(z)', text: 'xyz', end: 3, groups: { named: 'y' } },
  { pattern: '(?P<outer>a(?P<inner>b)c)', text: 'abc', end: 3, groups: { outer: 'abc', inner: 'b' } },
  { pattern: '(?P<last>[ab])+', text: 'ab', end: 2, groups: { last: 'b' } },
  { pattern: '(?P<none>x*)a', text: 'a', end: 1, groups: { none: '' } },
  { pattern: '(?i)(?P<state>up)', text: 'is UP', end: 5, groups: { state: 'UP' } },
  { pattern: raw`\b(?P<word>\w+)\b!`, text: 'о зелёный!', end: 10, groups: { word: 'зелёный' } },
  { pattern: raw`\b(?P<word>\w+)\b.`, text: '😀 ok😀 x', end: 7, groups: { word: 'ok' } },
  { pattern: '😀(?P<after>.)', text: 'a😀b', end: 4, groups: { after: 'b' } },
]

for (const { pattern, text, end, groups } of FOUND) {
  test(`compileFinder() finds what Python finds: ${pattern} in ${JSON.stringify(text)}`, () => {
    const { find, names } = compileFinder(pattern)
    assert.deepEqual(find(text), { end, groups })
    for (const name of Object.keys(groups)) assert.ok(names.includes(name))
  })
}

test('compileFinder() finds nothing where there is nothing', () => {
  assert.equal(compileFinder('(?P<x>a)').find('b'), undefined)
  assert.equal(compileFinder(raw`\b(?P<x>a)\b`).find('éa'), undefined)
})

test('compileFinder() refuses two groups of one name, and a "$" that would put a newline into a group', () => {
  assert.throws(() => compileFinder('(?P<x>a)(?P<x>b)'), {
    name: 'PatternError',
    message: 'is not a pattern: two groups are called "x"',
  })
  assert.throws(() => compileFinder('(?P<x>a$)'), {
    name: 'PatternError',
    message: 'has a "$" in the group "x", which RE2 would keep a newline in; write it after',
  })
  assert.deepEqual(compileFinder('(?P<x>a)$').find('a\n'), { end: 2, groups: { x: 'a' } })
})
