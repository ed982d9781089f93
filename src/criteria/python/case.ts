/** Characters that Python's IGNORECASE takes for one, as code points. */
type Orbit = readonly number[]

const ASCII_ORBITS: readonly Orbit[] = [...'abcdefghijklmnopqrstuvwxyz'].map((letter) =>
  [letter, letter.toUpperCase()].map(codePointOf),
)

// The only characters beyond ASCII that are another case of an ASCII letter. Python counts İ and ı as an i, RE2 does not.
const BASIC_ORBITS: readonly Orbit[] = [
  ...ASCII_ORBITS.filter(([lower]) => !'iks'.includes(String.fromCodePoint(lower ?? 0))),
  ...['iIİı', 'kK\u{212a}', 'sSſ'].map((orbit) => [...orbit].map(codePointOf)),
]

// Pairs that Python joins (re/_casefix.py; the lower case of İ) and JavaScript's one-to-one mappings do not show.
const EXCEPTIONS = ['iİ', '\u{390}\u{1fd3}', '\u{3b0}\u{1fe3}', '\u{fb05}\u{fb06}']

let allOrbits: readonly Orbit[] | undefined

/** The orbits that can matter to `ranges`. All of Unicode's take some 15 ms to find, which ASCII patterns are spared. */
export function chooseOrbits(ranges: readonly { to: number }[], ascii: boolean): readonly Orbit[] {
  if (ascii) return ASCII_ORBITS
  if (ranges.every(({ to }) => to < 0x80)) return BASIC_ORBITS
  allOrbits ??= findOrbits()
  return allOrbits
}

function findOrbits(): Orbit[] {
  const orbits = new Map<string, string[]>()
  const join = (one: string, other: string) => {
    const joined = new Set([...(orbits.get(one) ?? [one]), ...(orbits.get(other) ?? [other])])
    for (const member of joined) orbits.set(member, [...joined])
  }
  for (const character of casedCharacters()) {
    for (const mapped of [character.toLowerCase(), character.toUpperCase()]) {
      if ([...mapped].length === 1) join(character, mapped)
    }
  }
  for (const [one = '', other = ''] of EXCEPTIONS) join(one, other)
  const distinct = new Set([...orbits.values()].map((orbit) => orbit.toSorted().join('')))
  return [...distinct].map((orbit) => [...orbit].map(codePointOf)).filter(({ length }) => length > 1)
}

function* casedCharacters(): Generator<string> {
  const cased = /\p{Changes_When_Casemapped}/u
  for (let codePoint = 0x41; codePoint < 0x1f000; codePoint++) {
    const character = String.fromCodePoint(codePoint)
    if (cased.test(character)) yield character
  }
}

function codePointOf(character: string): number {
  return character.codePointAt(0) ?? 0
}
