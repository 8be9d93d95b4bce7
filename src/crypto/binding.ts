import type { Environment } from '../ids.ts'

/** Whose key seals a value: one tenant's in one environment, or the vault's own. */
export type KeyScope =
  | { readonly kind: 'system' }
  | { readonly kind: 'workspace', readonly workspaceId: string, readonly environment: Environment }

export type SealPurpose = 'connection-credential' | 'invocation-result' | 'oauth-client-secret' | 'pkce-verifier' | 'unassigned-grant' | 'refresh-answer'
  | 'webhook-secret' | 'relay-input' | 'relay-result'

/**
 * Where a sealed value belongs. It is authenticated with the ciphertext and mixed into its key:
 * a value moved to another tenant, environment, owner, version, purpose or destination can no
 * longer be opened.
 */
export interface BindingContext {
  readonly purpose: SealPurpose
  readonly scope: KeyScope
  /** The object the value is a part of: the connection's id. */
  readonly ownerId: string
  /** Which of the owner's values of this purpose: the version of a credential, the invocation of a result. */
  readonly versionId: string
  /** Names of the sealed fields, in any order. */
  readonly fieldSet: readonly string[]
  /** Hosts the value may be sent to, in any order. */
  readonly hosts: readonly string[]
  /** Non-secret settings that decide those hosts (instance URL, region). */
  readonly hostConfig: Readonly<Record<string, string>>
}

const CONTEXT_FORMAT = 1
const LENGTH_BYTES = 4

/**
 * The one encoding of a context: every text and list is preceded by its length, sets are sorted
 * by code point, so that two different contexts never give the same bytes.
 */
export function encodeBinding (context: BindingContext): Buffer {
  const { scope } = context
  const config = Object.entries(context.hostConfig).sort(([a], [b]) => compareText(a, b))
  return encode([
    context.purpose,
    scope.kind,
    scope.kind === 'workspace' ? scope.workspaceId : '',
    scope.kind === 'workspace' ? scope.environment : '',
    context.ownerId,
    context.versionId,
    ...list(context.fieldSet.toSorted(compareText)),
    ...list(context.hosts.toSorted(compareText)),
    ...list(config.flat()),
  ])
}

/** A name, in memory, for what is a scope's. */
export function nameScope (scope: KeyScope, id: string): string {
  return scope.kind === 'system' ? `system ${id}` : `workspace ${scope.workspaceId} ${scope.environment} ${id}`
}

/** The scope alone, in the same encoding, to bind a wrapped key to its owner. */
export function encodeScope (scope: KeyScope, keyId: string): Buffer {
  const owner = scope.kind === 'workspace' ? [scope.kind, scope.workspaceId, scope.environment] : [scope.kind]
  return encode(['wrapped-key', ...list([...owner, keyId])])
}

/** A list goes as its number of texts and the texts. */
function list (texts: readonly string[]): (string | number)[] {
  return [texts.length, ...texts]
}

/** The format, then numbers as 32 bits and texts as UTF-8 after their number of bytes. */
function encode (items: readonly (string | number)[]): Buffer {
  const length = items.reduce<number>((sum, item) => sum + LENGTH_BYTES + (typeof item === 'string' ? Buffer.byteLength(item) : 0), 1)
  const bytes = Buffer.alloc(length)
  let at = bytes.writeUInt8(CONTEXT_FORMAT)
  for (const item of items) {
    const written = typeof item === 'string' ? bytes.write(item, at + LENGTH_BYTES) : 0
    at = bytes.writeUInt32BE(typeof item === 'string' ? written : item, at) + written
  }
  return bytes
}

function compareText (a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
