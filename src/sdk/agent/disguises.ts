/** From where to where, in bytes. */
export interface Span {
  readonly from: number
  readonly to: number
}

/** A way to write a value, one character for each byte. */
interface Form {
  readonly text: string
  /** Characters at its edges that hold bits of the value and of its neighbours. */
  readonly before: number
  readonly after: number
}

interface Manner {
  readonly marks: RegExp
  readonly escape: RegExp
  /** Of the digits of its own escapes. */
  readonly base: number
  readonly needless?: RegExp
}

/** Shorter values stand in too many words. */
export const LENGTH_MIN = 4
/** What begins or ends within something else is found by chance when it is shorter. */
const WITHIN_MIN = 8
/** One escape within another, so often. */
const PASSES_MAX = 6
/** One of these is in every text that has an escape. */
const ESCAPING = /[\\%&+]/
/**
 * JSON (pairs of surrogates as one) and JavaScript, percent signs and HTML; what is left are backslashes, and characters that have a
 * letter after one, or a plus sign in forms.
 */
const ESCAPE = /\\+u(d[89ab][\da-f]{2})\\+u(d[c-f][\da-f]{2})|\\+u([\da-f]{4})|\\+u\{0{0,4}([\da-f]{1,6})\}|\\+x([\da-f]{2})|%([\da-f]{2})|&#(\d{1,7});|&#x([\da-f]{1,6});|&(amp|lt|gt|quot|apos);|\\+|[\n\r\t+]/
/**
 * Ways to escape that are read each for itself: what is `\\123` in C and `=ab` in mail (quoted-printable, RFC 2045, 6.7) is mostly a
 * name after a backslash and a value of a form. `own` comes before any other escape; a text where `marks` finds nothing has none, and where
 * `needless` finds nothing either, letters and digits stand as they are.
 */
const MANNERS: readonly Manner[] = [
  { marks: ESCAPING, own: /((?!))/, base: 16 },
  { marks: /\\[0-3][0-7]{2}/, own: /\\+([0-3][0-7]{2})/, base: 8 },
  { marks: /=(?:[\da-f]{2}|\r?\n)/i, own: /=([\da-f]{2}|\r?\n)/, base: 16, needless: /=\r?\n/ },
].map((manner) => ({ ...manner, escape: new RegExp(`${manner.own.source}|${ESCAPE.source}`, 'gi') }))
const LETTERS: Readonly<Record<string, string>> = { '\n': 'n', '\r': 'r', '\t': 't', '+': ' ', amp: '&', lt: '<', gt: '>', quot: '"', apos: '\'' }

/**
 * Finds values in bytes (one character for each, in Latin-1; of texts, their UTF-8): as they are, in hexadecimal, and in base64, also
 * of more than the value alone (`Bearer KEY`); each of these also as JSON, JavaScript, percent signs, forms and HTML escape it,
 * needlessly and one within another too, with octal numbers and as mail is. What it answers is in order and does not overlap.
 */
export function createFinder (values: readonly string[]): (written: string) => Span[] {
  const forms = [...new Set(values)].filter((value) => value.length >= LENGTH_MIN).flatMap((value) => spell(Buffer.from(value)))
  const manners = MANNERS.map((manner) => ({
    manner,
    escaped: forms.map((form) => ({ ...form, parts: form.text.match(/[a-z\d]+/gi) ?? [], text: read(form.text, manner).text })).filter(({ text }) => text.length >= LENGTH_MIN),
  }))
  return (written) => {
    if (forms.length === 0) return []
    const spans = locate(written, forms)
    for (const { manner, escaped } of manners) {
      if (!manner.marks.test(written)) continue
      const { needless } = manner
      const near = needless === undefined || needless.test(written) ? escaped : escaped.filter(({ parts }) => parts.every((part) => written.includes(part)))
      if (near.length === 0) continue
      const { text, starts } = read(written, manner)
      for (const span of locate(text, near)) {
        const from = starts[span.from] ?? 0
        let to = starts[span.to] ?? written.length
        // They belong to what comes next.
        while (to > from && written[to - 1] === '\\') to--
        spans.push({ from, to })
      }
    }
    return join(spans)
  }
}

function spell (value: Buffer): Form[] {
  const hex = value.toString('hex')
  const whole = [value.toString('latin1'), hex, hex.toUpperCase()].map((text) => ({ text, before: 0, after: 0 }))
  const base64 = [0, 1, 2].map((shift) => toBase64(value, shift)).filter(({ text, before }) => text.length >= (before === 0 ? LENGTH_MIN : WITHIN_MIN))
  return [...whole, ...base64, ...base64.map((form) => ({ ...form, text: form.text.replaceAll('+', '-').replaceAll('/', '_') }))]
}

/** Base64 of it after so many bytes of something else: the characters that are its own. */
function toBase64 (value: Buffer, shift: number): Form {
  const bits = (shift + value.length) * 8
  const text = Buffer.concat([Buffer.alloc(shift), value]).toString('base64').slice(Math.ceil(shift * 8 / 6), Math.floor(bits / 6))
  return { text, before: shift === 0 ? 0 : 1, after: bits % 6 === 0 ? 0 : 1 }
}

function locate (text: string, forms: readonly Form[]): Span[] {
  const spans: Span[] = []
  for (const form of forms) {
    for (let at = text.indexOf(form.text); at >= 0; at = text.indexOf(form.text, at + form.text.length)) {
      let to = Math.min(at + form.text.length + form.after, text.length)
      // Padding says how the value ends.
      if (form.after > 0) while (text[to] === '=') to++
      spans.push({ from: Math.max(at - form.before, 0), to })
    }
  }
  return spans
}

function join (spans: readonly Span[]): Span[] {
  const joined: Span[] = []
  for (const span of [...spans].sort((a, b) => a.from - b.from)) {
    const last = joined.at(-1)
    if (last === undefined || span.from >= last.to) joined.push(span)
    else joined[joined.length - 1] = { from: last.from, to: Math.max(last.to, span.to) }
  }
  return joined
}

/** A text as it reads, and where each of its characters begins as it is written; one more place is the end. */
interface Reading {
  readonly text: string
  readonly starts: Uint32Array
}

/** Reads until nothing is escaped any more. In place: nothing is longer read than written. */
function read (written: string, { escape, base }: Manner): Reading {
  const starts = new Uint32Array(written.length + 1)
  for (let at = 0; at < starts.length; at++) starts[at] = at
  let text = written
  for (let pass = 0, changed = true; changed && pass < PASSES_MAX; pass++) {
    let done = 0
    let to = 0
    const keep = (until: number) => {
      starts.copyWithin(to, done, until)
      to += until - done
    }
    const next = text.replace(escape, (whole: string, ...rest: unknown[]) => {
      const at = rest.find((one) => typeof one === 'number') ?? 0
      const plain = readOne(whole, base, rest as (string | undefined)[])
      keep(at)
      starts.fill(starts[at] ?? 0, to, to += plain.length)
      done = at + whole.length
      return plain
    })
    keep(text.length)
    starts[to] = written.length
    changed = next !== text
    text = next
  }
  return { text, starts }
}

function readOne (whole: string, base: number, [own, high, low, unit, braced, short, byte, decimal, hex, name]: readonly (string | undefined)[]): string {
  // A line that was broken where there was none reads as nothing.
  if (own !== undefined) return own.endsWith('\n') ? '' : String.fromCharCode(parseInt(own, base))
  if (name !== undefined) return LETTERS[name.toLowerCase()] ?? whole
  if (byte !== undefined) return String.fromCharCode(parseInt(byte, 16))
  if (high !== undefined && low !== undefined) return toBytes(String.fromCharCode(parseInt(high, 16), parseInt(low, 16)))
  const code = decimal === undefined ? parseInt(unit ?? braced ?? short ?? hex ?? '', 16) : Number(decimal)
  if (Number.isNaN(code)) return LETTERS[whole] ?? ''
  return code > 0x10ffff ? whole : toBytes(String.fromCodePoint(code))
}

function toBytes (text: string): string {
  return Buffer.from(text).toString('latin1')
}
