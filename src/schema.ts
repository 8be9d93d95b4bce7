import { Compile } from 'typebox/schema'
import type { FieldError } from './errors.ts'

/** Checks a value; answers what is wrong, nothing when it fits. Names places and rules, never values. */
export type SchemaCheck = (value: unknown) => readonly FieldError[]

const ERRORS_MAX = 20

/**
 * A check for a JSON Schema (2020-12). `at` is put before each pointer. `pattern`s are run as they
 * are: only schemas of the vault itself and of an operator's manifests come here.
 */
export function compileSchema (schema: object, at = ''): SchemaCheck {
  const compiled = Compile(schema)
  return (value) => {
    if (compiled.Check(value)) return []
    const [, errors] = compiled.Errors(value)
    return errors.flatMap((error) => describe(error, at)).slice(0, ERRORS_MAX)
  }
}

interface SchemaError {
  readonly keyword: string
  readonly instancePath: string
  readonly params: unknown
  readonly message?: string
}

/** A schema error in the terms of a problem document. */
export function describe (error: SchemaError, at: string): FieldError[] {
  const params = error.params as Record<string, unknown> | undefined
  const pointer = `${at}${error.instancePath}`
  switch (error.keyword) {
    case 'boolean': return [] // the additionalProperties error beside it says the same with names
    case 'required': return names(params?.['requiredProperties']).map((name) => ({ pointer: `${pointer}/${name}`, message: 'is required' }))
    case 'additionalProperties': case 'unevaluatedProperties':
      return names(params?.[error.keyword]).map((name) => ({ pointer: `${pointer}/${name}`, message: 'is not known here' }))
    case 'const': return [{ pointer, message: `must be ${JSON.stringify(params?.['allowedValue'])}` }]
    case 'enum': return [{ pointer, message: `must be one of ${JSON.stringify(params?.['allowedValues'])}` }]
    default: return [{ pointer, message: error.message ?? 'does not fit' }]
  }
}

/** Names come from the caller: kept short, escaped as JSON pointers are (RFC 6901). */
function names (value: unknown): string[] {
  return Array.isArray(value) ? value.slice(0, ERRORS_MAX).map((name) => String(name).slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')) : []
}
