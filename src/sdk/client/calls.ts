import type { operations } from './contract.ts'
import type { OPERATIONS } from './operations.ts'

/** An operation of the contract, by its id in openapi.yaml. */
export type OperationName = keyof typeof OPERATIONS

type Flat<T> = { [Name in keyof T]: T[Name] }
type Part<T, Name extends string> = T extends { readonly [_ in Name]?: infer V } ? [NonNullable<V>] extends [never] ? unknown : NonNullable<V> : unknown
type Parameters<Name extends OperationName> = operations[Name]['parameters']
type Sent<T> = T extends { readonly requestBody: { readonly content: { readonly 'application/json': infer Body } } } ? Body : unknown
type Got<T> = T extends { readonly content: { readonly 'application/json': infer Body } } ? Body : undefined

/** What an operation takes, its path, query and body in one object, with the names of the contract. */
export type Input<Name extends OperationName> = Flat<Part<Parameters<Name>, 'path'> & Part<Parameters<Name>, 'query'> & Sent<operations[Name]>>

/** What an operation answers. */
export type Answer<Name extends OperationName> = Got<operations[Name]['responses'][keyof operations[Name]['responses']]>

/** For one call, over what the client was made with. */
export interface CallOptions {
  /** Ends the call: it then rejects with the signal’s reason. */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds for one attempt. */
  readonly timeoutMs?: number | undefined
  /** Milliseconds for the whole call, its repeats and waits included. */
  readonly deadlineMs?: number | undefined
  /** Repeats at most; 0 for none. */
  readonly retries?: number | undefined
  /** The person on whose behalf the call is made: `X-Actor`, for the record. */
  readonly actor?: string | undefined
}

interface WithKey {
  /** Under one key the vault does it once. Where something is created, the client makes a key if there is none. */
  readonly idempotencyKey?: string | undefined
}
interface WithEtag {
  /** The `etag` of what was read: go on only if it is still that. */
  readonly ifMatch?: string | undefined
}

type Takes<Name extends OperationName, Mark extends string, Options> = (typeof OPERATIONS)[Name] extends { readonly [_ in Mark]: true } ? Options : unknown

/** The options that an operation has. */
export type OptionsOf<Name extends OperationName> = CallOptions & Takes<Name, 'key', WithKey> & Takes<Name, 'etag', WithEtag>

type Rest<Name extends OperationName> = object extends Input<Name>
  ? [input?: Input<Name>, options?: OptionsOf<Name>]
  : [input: Input<Name>, options?: OptionsOf<Name>]

/** One function for each operation, with its description. */
export type Operations = { readonly [Name in keyof typeof OPERATIONS]: (...args: Rest<Name>) => Promise<Answer<Name>> }

/** Operations that answer a page at a time. */
export type ListName = { [Name in OperationName]: (typeof OPERATIONS)[Name] extends { readonly list: string } ? Name : never }[OperationName]

type Listed<Name extends ListName> = (typeof OPERATIONS)[Name]['list']
/** What such a list is of. */
export type Item<Name extends ListName> = Answer<Name> extends { readonly [_ in Listed<Name>]: readonly (infer One)[] } ? One : never
