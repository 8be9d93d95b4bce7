import { NAMED_CHARACTERS } from './named-characters.ts'

/** A value to be looked for however a text escapes it. */
export interface Needle {
  /** The value as it reads, in UTF-8; none where that is too short not to be found by chance. */
  read (manner: Manner): readonly Buffer[]
  /** What encoders leave as it is, the longest first: where one of these is not, the value is not. */
  readonly parts: readonly string[]
}

/** From where to where in what was searched: characters of a text, bytes of a file. */
export interface Span {
  readonly from: number
  readonly to: number
}

/**
 * What else a text may be escaped with. Each is read for itself: what is `=ab` in mail and `\\123` in C is mostly a value of a form
 * and a name after a backslash.
 */
type Manner = 'usual' | 'octal' | 'mail'

/** What may still be read letter by letter. */
export interface Budget {
  characters: number
}

/** One of these is in every text that has an escape. */
const ESCAPING = /[\\%&+]/
/** Letters and digits as every encoder may write them and none has to. */
const NEEDLESS = /(?:\\(?:u00|u\{0{0,4}|x)|%(?:25)*|&(?:amp;)*#[xX]0{0,4})(?:3\d|[46][1-9a-fA-F]|[57][0-9aA])|&(?:amp;)*#0{0,4}(?:4[89]|5[0-7]|6[5-9]|[78]\d|9[0789]|1[01]\d|12[012]);/
const OCTAL = /\\[0-3][0-7]{2}/
/** Quoted-printable (RFC 2045, 6.7) leaves letters and digits as they are, but for breaks of lines. */
const MAIL = /=(?:[\da-fA-F]{2}|\r?\n)/
const SOFT_BREAK = /=\r?\n/
/** One encoding within another, so often. */
const PASSES_MAX = 6
const NOTHING = 0x110000
/** Marks a character, written as UTF-8, among bytes, which are taken as they are. */
const CHARACTER = 0x200000
/** What is read and how many bytes were taken for it, in one number: there are millions of them. */
const TAKEN = 0x400000
const ENTITY_MAX = 9
const BRACED_MAX = 8

/** To be found where it reads as so many characters or more. */
export function createNeedle (value: string, lengthMin: number): Needle {
  const parts = value.match(/[A-Za-z0-9]+/g) ?? []
  const known = new Map<Manner, readonly Buffer[]>()
  const read = (manner: Manner): readonly Buffer[] => {
    const before = known.get(manner)
    if (before !== undefined) return before
    const { codes, length } = readText(value, manner)
    const now = [codes.subarray(0, length)].filter((one) => one.toString().length >= lengthMin)
    known.set(manner, now)
    return now
  }
  return { read, parts: parts.sort((a, b) => b.length - a.length) }
}

/**
 * Where needles stand in a text or a file, escaped as JSON, JavaScript, Markdown, percent signs, forms
 * or HTML do it, also one within another, and with octal numbers as C does it or as mail is: both are compared
 * as they read, byte by byte. Takes time by the length alone, and no more of that than `budget` has left.
 */
export function findEscaped (written: string | Buffer, needles: () => readonly Needle[], budget: Budget): Span[] {
  const text = typeof written === 'string' ? written : written.toString('latin1')
  const find = (manner: Manner, needless: boolean): Span[] => {
    const near = needles().filter(({ parts }) => needless || parts.every((part) => text.includes(part))).flatMap((needle) => needle.read(manner))
    if (near.length === 0 || text.length > budget.characters) return []
    budget.characters -= text.length
    return locate(readText(written, manner), near)
  }
  return [
    ...ESCAPING.test(text) ? find('usual', NEEDLESS.test(text)) : [],
    ...OCTAL.test(text) ? find('octal', true) : [],
    ...MAIL.test(text) ? find('mail', SOFT_BREAK.test(text)) : [],
  ]
}

function locate ({ codes, starts, ends, length }: Reading, needles: readonly Buffer[]): Span[] {
  const found: Span[] = []
  const read = codes.subarray(0, length)
  for (const needle of needles) {
    const size = needle.length
    for (let at = read.indexOf(needle); at >= 0; at = read.indexOf(needle, at + size)) {
      found.push({ from: starts[at] ?? 0, to: ends[at + size - 1] ?? 0 })
    }
  }
  return found
}

/** A text as it reads, in UTF-8, and where each byte of that is written. */
interface Reading {
  readonly codes: Buffer
  readonly starts: Uint32Array
  readonly ends: Uint32Array
  /** How much of all three is in use. */
  readonly length: number
}

function startReading (written: string | Buffer): Reading {
  const codes = Buffer.from(written as string)
  const starts = new Uint32Array(codes.length)
  const ends = new Uint32Array(codes.length)
  const text = typeof written === 'string'
  let [start, end] = [0, 0]
  for (let at = 0; at < codes.length; at++) {
    const byte = codes[at] ?? 0
    if (!text || (byte & 0xc0) !== 0x80) {
      start = end
      // Two units of UTF-16 are four bytes of UTF-8.
      end += text && byte >= 0xf0 ? 2 : 1
    }
    starts[at] = start
    ends[at] = end
  }
  return { codes, starts, ends, length: codes.length }
}

/** Reads until nothing is escaped any more. In place: nothing is longer read than written. */
function readText (written: string | Buffer, manner: Manner): Reading {
  const reading = startReading(written)
  const { codes, starts, ends } = reading
  let { length } = reading
  const readMore = MORE[manner]
  for (let pass = 0, changed = true; changed && pass < PASSES_MAX; pass++) {
    let to = 0
    changed = false
    for (let at = 0; at < length;) {
      const plain = codes[at] ?? 0
      const one = readMore?.(codes, at, length) ?? readOne(codes, at, length)
      const code = one % TAKEN
      const next = at + (one - code) / TAKEN
      const from = starts[at] ?? 0
      const end = ends[next - 1] ?? 0
      for (const until = code === NOTHING ? to : write(codes, to, code); to < until; to++) {
        starts[to] = from
        ends[to] = end
      }
      changed ||= code !== plain || next > at + 1
      at = next
    }
    length = to
  }
  return { codes, starts, ends, length }
}

/** Answers where it ends. */
function write (codes: Buffer, at: number, code: number): number {
  if (code < CHARACTER) {
    codes[at] = code
    return at + 1
  }
  return at + codes.write(String.fromCodePoint(code - CHARACTER), at)
}

function character (code: number): number {
  return code < 0x80 ? code : CHARACTER + code
}

/** Reads what is an escape in one manner alone; undefined for anything else. */
type Reader = (codes: Buffer, at: number, length: number) => number | undefined
const MORE: Readonly<Record<Manner, Reader | undefined>> = { usual: undefined, octal: readOctal, mail: readMail }

function readMail (codes: Buffer, at: number, length: number): number | undefined {
  if (codes[at] !== 0x3d) return undefined
  const byte = at + 2 < length ? readHex(codes, at + 1, 2) : NaN
  if (!Number.isNaN(byte)) return 3 * TAKEN + byte
  const end = codes[at + 1] === 0x0d ? at + 2 : at + 1
  return end < length && codes[end] === 0x0a ? (end + 1 - at) * TAKEN + NOTHING : undefined
}

function readOctal (codes: Buffer, at: number, length: number): number | undefined {
  if (codes[at] !== 0x5c || at + 3 >= length) return undefined
  let value = 0
  for (let place = at + 1; place < at + 4; place++) {
    const digit = (codes[place] ?? 0) - 0x30
    if (digit < 0 || digit > 7) return undefined
    value = value * 8 + digit
  }
  return value > 0xff ? undefined : 4 * TAKEN + value
}

/** Backslashes read as nothing, and line breaks as the letters after one: how often a text was escaped makes no difference then. */
function readOne (codes: Buffer, at: number, length: number): number {
  const code = codes[at] ?? 0
  switch (code) {
    case 0x0a: return TAKEN + 0x6e
    case 0x0d: return TAKEN + 0x72
    case 0x09: return TAKEN + 0x74
    case 0x2b: return TAKEN + 0x20
    case 0x25: return readPercent(codes, at, length)
    case 0x26: return readEntity(codes, at, length)
    case 0x5c: return readBackslash(codes, at, length)
    default: return TAKEN + code
  }
}

function readPercent (codes: Buffer, at: number, length: number): number {
  const byte = at + 2 < length ? readHex(codes, at + 1, 2) : NaN
  return Number.isNaN(byte) ? TAKEN + 0x25 : 3 * TAKEN + byte
}

function readBackslash (codes: Buffer, at: number, length: number): number {
  const next = at + 1 < length ? codes[at + 1] : undefined
  if (next === 0x22 || next === 0x27 || next === 0x2f) return 2 * TAKEN + next
  if (next === 0x78) {
    const unit = at + 3 < length ? readHex(codes, at + 2, 2) : NaN
    return Number.isNaN(unit) ? TAKEN + NOTHING : 4 * TAKEN + character(unit)
  }
  if (next === 0x75 && codes[at + 2] === 0x7b) return readBraced(codes, at, length)
  const unit = readUnit(codes, at, length)
  if (Number.isNaN(unit)) return TAKEN + NOTHING
  if (unit < 0xd800 || unit > 0xdbff) return 6 * TAKEN + character(unit)
  let second = at + 6
  // Escaped more than once, the second half has more than one backslash.
  while (second + 1 < length && codes[second] === 0x5c && codes[second + 1] === 0x5c && second - at < 14) second++
  const low = readUnit(codes, second, length)
  if (low >= 0xdc00 && low <= 0xdfff) return (second + 6 - at) * TAKEN + character(0x10000 + (unit - 0xd800) * 0x400 + low - 0xdc00)
  return 6 * TAKEN + character(unit)
}

/** A backslash, a `u` and digits in braces. */
function readBraced (codes: Buffer, at: number, length: number): number {
  const digits = at + 3
  let end = digits
  while (end < length && end - digits < BRACED_MAX && codes[end] !== 0x7d) end++
  const code = end > digits && end < length && codes[end] === 0x7d ? readHex(codes, digits, end - digits) : NaN
  return code < NOTHING ? (end + 1 - at) * TAKEN + character(code) : TAKEN + NOTHING
}

/** A backslash, a `u` and four digits; NaN for anything else. */
function readUnit (codes: Buffer, at: number, length: number): number {
  return at + 5 < length && codes[at] === 0x5c && codes[at + 1] === 0x75 ? readHex(codes, at + 2, 4) : NaN
}

function readEntity (codes: Buffer, at: number, length: number): number {
  let end = at + 1
  while (end < length && end - at < ENTITY_MAX && codes[end] !== 0x3b) end++
  if (codes[end] !== 0x3b || end >= length) return TAKEN + 0x26
  const name = codes.toString('latin1', at + 1, end)
  const code = NAMED_CHARACTERS.get(name) ?? (name.startsWith('#') ? Number(name.slice(1).replace(/^[xX]/, '0x')) : NaN)
  return code < NOTHING && Number.isInteger(code) && code >= 0 ? (end + 1 - at) * TAKEN + character(code) : TAKEN + 0x26
}

/** What so many hexadecimal digits stand for; NaN where one is none. */
function readHex (codes: Buffer, at: number, count: number): number {
  let value = 0
  for (let place = at; place < at + count; place++) value = value * 16 + digit(codes[place])
  return value
}

function digit (code: number | undefined): number {
  if (code === undefined) return NaN
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const letter = code | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : NaN
}
