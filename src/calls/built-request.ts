import type { Manifest } from '../catalog/index.ts'
import type { RequestBody } from './encode.ts'

/** A request without its credential. */
export interface BuiltRequest {
  readonly method: string
  /** The server's base URL, path and query: its host never depends on input. */
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: RequestBody | undefined
  /** Top-level properties of the body that take a credential's field. */
  readonly bodyFields: Readonly<Record<string, string>>
  /** The security schemes of an imported document that this call asks for; all there are when left out. */
  readonly security?: readonly string[] | undefined
}

export interface BuildOptions {
  readonly manifest: Manifest
  readonly baseUrl: string
  /** Names of the credential's secret fields. */
  readonly fields: readonly string[]
  /** Its config, which some actions take input from. */
  readonly config?: Readonly<Record<string, string>>
  /** Headers that this connection's credential sets, in lower case. */
  readonly injected: readonly string[]
  /** The security schemes of an imported document that the connection satisfies. */
  readonly satisfied?: readonly string[]
}
