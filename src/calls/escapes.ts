/** A value to be looked for however a text escapes it. */
export interface Needle {
  /** The value as it reads. */
  readonly read: string
  /** What encoders leave as it is, the longest first: where one of these is not, the value is not. */
  readonly parts: readonly string[]
}

/** From where to where in a text as it is written. */
export interface Span {
  readonly from: number
  readonly to: number
}

/** What may still be read letter by letter. */
export interface Budget {
  characters: number
}

/** One of these is in every text that has an escape. */
const ESCAPING = /[\\%&+]/
/** Letters and digits as JSON may write them and nobody has to. */
const NEEDLESS = /\\u00(?:3\d|[46][1-9a-fA-F]|[57][0-9aA]|5[fF])/
/** One encoding within another, so often. */
const PASSES_MAX = 6
const NOTHING = 0x10000
/** A character that is read and how many were taken for it, in one number: there are millions of them. */
const TAKEN = 0x20000
const ENTITIES: Readonly<Record<string, number>> = { amp: 0x26, lt: 0x3c, gt: 0x3e, quot: 0x22, apos: 0x27 }
const ENTITY_MAX = 9

export function createNeedle (value: string): Needle {
  const parts = value.match(/\w+/g) ?? []
  return { read: readText(value).text, parts: parts.sort((a, b) => b.length - a.length) }
}

/**
 * Where needles stand in a text, escaped as JSON, percent signs, forms or HTML do it, also one within
 * another: both are compared as they read. None overlap. Takes time by the text's length alone, and
 * no more of that than `budget` has left.
 */
export function findEscaped (text: string, needles: () => readonly Needle[], budget: Budget): Span[] {
  if (!ESCAPING.test(text)) return []
  const needless = text.includes('\\u00') && NEEDLESS.test(text)
  const near = needles().filter(({ parts }) => needless || parts.every((part) => text.includes(part)))
  if (near.length === 0 || text.length > budget.characters) return []
  budget.characters -= text.length
  return join(locate(readText(text), near))
}

function locate ({ text, starts, ends }: Reading, needles: readonly Needle[]): Span[] {
  const found: Span[] = []
  for (const { read } of needles) {
    for (let at = text.indexOf(read); at >= 0; at = text.indexOf(read, at + read.length)) {
      found.push({ from: starts[at] ?? 0, to: ends[at + read.length - 1] ?? 0 })
    }
  }
  return found.sort((a, b) => a.from - b.from)
}

function join (spans: readonly Span[]): Span[] {
  const joined: Span[] = []
  for (const span of spans) {
    const last = joined.at(-1)
    if (last === undefined || span.from >= last.to) joined.push(span)
    else joined[joined.length - 1] = { from: last.from, to: Math.max(last.to, span.to) }
  }
  return joined
}

/** A text as it reads, and where each of its characters is written. */
interface Reading {
  readonly text: string
  readonly starts: Uint32Array
  readonly ends: Uint32Array
}

/** Reads until nothing is escaped any more. In place: nothing is longer read than written. */
function readText (written: string): Reading {
  const codes = new Uint16Array(written.length)
  const starts = new Uint32Array(written.length)
  const ends = new Uint32Array(written.length)
  for (let at = 0; at < written.length; at++) {
    codes[at] = written.charCodeAt(at)
    starts[at] = at
    ends[at] = at + 1
  }
  let length = written.length
  for (let pass = 0, changed = true; changed && pass < PASSES_MAX; pass++) {
    let to = 0
    changed = false
    for (let at = 0; at < length;) {
      const plain = codes[at] ?? 0
      const one = readOne(codes, at, length)
      const code = one % TAKEN
      const next = at + (one - code) / TAKEN
      if (code !== NOTHING) {
        codes[to] = code
        starts[to] = starts[at] ?? 0
        ends[to++] = ends[next - 1] ?? 0
      }
      changed ||= code !== plain
      at = next
    }
    length = to
  }
  return { text: Buffer.from(codes.buffer, 0, length * 2).toString('utf16le'), starts, ends }
}

/** Backslashes read as nothing, and line breaks as the letters after one: how often a text was escaped makes no difference then. */
function readOne (codes: Uint16Array, at: number, length: number): number {
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

function readPercent (codes: Uint16Array, at: number, length: number): number {
  const byte = at + 2 < length ? digit(codes[at + 1]) * 16 + digit(codes[at + 2]) : NaN
  return byte < 0x80 ? 3 * TAKEN + byte : TAKEN + 0x25
}

function readBackslash (codes: Uint16Array, at: number, length: number): number {
  const next = at + 1 < length ? codes[at + 1] : undefined
  if (next === 0x22 || next === 0x27 || next === 0x2f) return 2 * TAKEN + next
  let unit = next === 0x75 && at + 5 < length ? 0 : NaN
  for (let place = at + 2; place < at + 6; place++) unit = unit * 16 + digit(codes[place])
  return Number.isNaN(unit) ? TAKEN + NOTHING : 6 * TAKEN + unit
}

function readEntity (codes: Uint16Array, at: number, length: number): number {
  let end = at + 1
  while (end < length && end - at < ENTITY_MAX && codes[end] !== 0x3b) end++
  if (codes[end] !== 0x3b || end >= length) return TAKEN + 0x26
  const name = String.fromCharCode(...codes.subarray(at + 1, end))
  const code = ENTITIES[name] ?? (name.startsWith('#') ? Number(name.slice(1).replace(/^[xX]/, '0x')) : NaN)
  return code < NOTHING ? (end + 1 - at) * TAKEN + code : TAKEN + 0x26
}

/** What a hexadecimal digit stands for; NaN for anything else. */
function digit (code: number | undefined): number {
  if (code === undefined) return NaN
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const letter = code | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : NaN
}
