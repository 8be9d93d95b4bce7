import type { Span } from './escapes.ts'

/** A line break and the indentation after it, also as JSON escapes it, once or twice. */
const BREAK = /[\r\n]+[ \t]*|\\{1,4}[rn]/g
const STARTS_BREAK = /[\r\n\\]/
/** Shorter lines are words: encoders wrap base64 at 60 characters and more. */
const LINE_MIN = 20

/** Where pieces of base64 stand in a text that wraps it. Takes time by the text's length alone. */
export function findWrapped (text: string, pieces: readonly string[]): Span[] {
  if (text.length <= LINE_MIN || !STARTS_BREAK.test(text)) return []
  const lines = unwrap(text)
  if (lines.length < 2) return []
  const whole = lines.map(({ from, to }) => text.slice(from, to)).join('')
  return pieces.flatMap((piece) => {
    const found: Span[] = []
    let [line, before] = [0, 0]
    const place = (at: number): number => {
      for (let size = sizeOf(lines[line]); at >= before + size && line < lines.length - 1; size = sizeOf(lines[line])) {
        before += size
        line++
      }
      return (lines[line]?.from ?? 0) + at - before
    }
    for (let at = whole.indexOf(piece); at >= 0; at = whole.indexOf(piece, at + piece.length)) {
      found.push({ from: place(at), to: place(at + piece.length - 1) + 1 })
    }
    return found
  })
}

function sizeOf (line: Span | undefined): number {
  return line === undefined ? 0 : line.to - line.from
}

/** The text without the breaks that end a line of base64. */
function unwrap (text: string): Span[] {
  const lines: Span[] = []
  let from = 0
  let joined = -1
  for (const { index, 0: { length } } of text.matchAll(BREAK)) {
    // One break may be written as two: `\r\n`.
    if (index !== joined && !endsLine(text, index)) continue
    lines.push({ from, to: index })
    from = joined = index + length
  }
  if (from > 0) lines.push({ from, to: text.length })
  return lines
}

function endsLine (text: string, end: number): boolean {
  for (let at = end - 1; at >= end - LINE_MIN; at--) if (at < 0 || !isBase64(text.charCodeAt(at))) return false
  return true
}

/** Of either alphabet. */
function isBase64 (code: number): boolean {
  return (code >= 0x61 && code <= 0x7a) || (code >= 0x41 && code <= 0x5a) || (code >= 0x2f && code <= 0x39) || code === 0x2b || code === 0x2d || code === 0x5f
}
