import { describeError } from '../log.ts'

/** One line about a crash, without the error's message or properties: they may hold what was being worked on. */
export function dieQuietly (): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      process.stderr.write(`${JSON.stringify({ level: 'fatal', msg: event, error: describeError(error) })}\n`)
      process.exit(1)
    })
  }
}
