/** Where an agent says what it does. The same shape as pino's and console's methods with one object. */
export interface Log {
  info (line: Readonly<Record<string, unknown>>, message: string): void
  warn (line: Readonly<Record<string, unknown>>, message: string): void
  error (line: Readonly<Record<string, unknown>>, message: string): void
}

/** Lines of JSON on standard error. */
export const jsonLog: Log = Object.freeze({ info: writer('info'), warn: writer('warn'), error: writer('error') })

function writer (level: string): Log['info'] {
  return (line, message) => { process.stderr.write(`${JSON.stringify({ level, time: new Date().toISOString(), ...line, message })}\n`) }
}
