import type { Environment } from '../ids.ts'

/** Whose key seals a value: one tenant's in one environment, or the vault's own. */
export type KeyScope =
  | { readonly kind: 'system' }
  | { readonly kind: 'workspace', readonly workspaceId: string, readonly environment: Environment }

export type SealPurpose = 'connection-credential'

/**
 * Where a sealed value belongs. It is authenticated with the ciphertext and mixed into its key:
 * a value moved to another tenant, environment, owner, version, purpose or destination can no
 * longer be opened.
 */
export interface BindingContext {
  readonly purpose: SealPurpose
  readonly scope: KeyScope
  /** The object the value is a part of, for a credential the connection's id. */
  readonly ownerId: string
  readonly versionId: string
  /** Names of the sealed fields, in any order. */
  readonly fieldSet: readonly string[]
  /** Hosts the value may be sent to, in any order. */
  readonly hosts: readonly string[]
  /** Non-secret settings that decide those hosts (instance URL, region). */
  readonly hostConfig: Readonly<Record<string, string>>
}

const CONTEXT_FORMAT = 1

/**
 * The one encoding of a context: every text and list is preceded by its length, sets are sorted
 * by code point, so that two different contexts never give the same bytes.
 */
export function encodeBinding (context: BindingContext): Buffer {
  const { scope } = context
  const config = Object.entries(context.hostConfig).sort(([a], [b]) => compareText(a, b))
  return Buffer.concat([
    Buffer.from([CONTEXT_FORMAT]),
    encodeText(context.purpose),
    encodeText(scope.kind),
    encodeText(scope.kind === 'workspace' ? scope.workspaceId : ''),
    encodeText(scope.kind === 'workspace' ? scope.environment : ''),
    encodeText(context.ownerId),
    encodeText(context.versionId),
    encodeList(context.fieldSet.toSorted(compareText)),
    encodeList(context.hosts.toSorted(compareText)),
    encodeList(config.flat()),
  ])
}

/** The scope alone, in the same encoding, to bind a wrapped key to its owner. */
export function encodeScope (scope: KeyScope, keyId: string): Buffer {
  const owner = scope.kind === 'workspace' ? [scope.kind, scope.workspaceId, scope.environment] : [scope.kind]
  return Buffer.concat([Buffer.from([CONTEXT_FORMAT]), encodeText('wrapped-key'), encodeList([...owner, keyId])])
}

function encodeText (text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8')
  return Buffer.concat([encodeLength(bytes.length), bytes])
}

function encodeList (texts: readonly string[]): Buffer {
  return Buffer.concat([encodeLength(texts.length), ...texts.map(encodeText)])
}

function encodeLength (length: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(length)
  return bytes
}

function compareText (a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
