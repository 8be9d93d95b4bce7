import { sha256 } from '../../crypto/index.ts'

const LENGTH_MAX = 64
const HASH_LENGTH = 8

export interface Named {
  /** `GET /pets/{id}`: no two operations of a document have the same. */
  readonly key: string
  readonly operationId: string | undefined
}

/**
 * Names for actions: lower case, digits and `_`, at most 64 characters. A name never depends on
 * the order of the operations: where two would be the same, all of them get a hash of what they are.
 */
export function nameOperations (operations: readonly Named[]): Map<string, string> {
  const plain = operations.map((operation) => ({ ...operation, name: nameOf(operation) }))
  const counts = Map.groupBy(plain, ({ name }) => name)
  const names = new Map<string, string>()
  const taken = new Set<string>(plain.filter(({ name }) => counts.get(name)?.length === 1 && name.length <= LENGTH_MAX).map(({ name }) => name))
  for (const { key, name } of plain.toSorted((a, b) => a.key < b.key ? -1 : 1)) {
    if (counts.get(name)?.length === 1 && name.length <= LENGTH_MAX) {
      names.set(key, name)
      continue
    }
    let hashed = withHash(name, key, HASH_LENGTH)
    // A name that looks as if it had this hash: a longer one is nobody's.
    if (taken.has(hashed)) hashed = withHash(name, key, HASH_LENGTH * 4)
    taken.add(hashed)
    names.set(key, hashed)
  }
  return names
}

function nameOf ({ key, operationId }: Named): string {
  const name = toSnakeCase(operationId ?? '')
  if (name !== '') return name
  const [method = '', path = ''] = key.split(' ')
  return toSnakeCase(`${method} ${path.replaceAll(/[{}]/g, ' ')}`) || 'operation'
}

/** Words of any convention as `like_this`; names begin with a letter. */
export function toSnakeCase (text: string): string {
  const snake = text.normalize('NFKD').replaceAll('OAuth', 'Oauth').replace(/([a-z0-9])([A-Z])/g, '$1_$2').replace(/([A-Z]+)([A-Z][a-z])/g, '$1_$2').toLowerCase()
    .replace(/[^a-z0-9]+/g, '_').replace(/^_+|_+$/g, '')
  return /^[0-9]/.test(snake) ? `n${snake}` : snake
}

/** A name that stands for a text nobody else has, within the limit. */
export function withHash (name: string, of: string, length: number): string {
  const hash = sha256(of).toString('hex').slice(0, length)
  return `${name.slice(0, LENGTH_MAX - length - 1).replace(/_+$/, '')}_${hash}`
}
