/** A document that can't be imported; `pointer` is where in it (RFC 6901), `message` what is wrong there. Neither holds more than a name of the document. */
export class ImportError extends Error {
  readonly pointer: string

  constructor (pointer: string, message: string) {
    super(message)
    this.pointer = pointer
  }
}
