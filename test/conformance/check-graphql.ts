import { buildSchema, getVariableValues, Kind, parse, validate, type OperationDefinitionNode } from 'graphql'
import { bodyOf, type Finding, type Samples } from './check.ts'

interface Payload {
  readonly query: string
  readonly variables?: Readonly<Record<string, unknown>>
}

/** The same checks for a GraphQL API: the document of the action against the vendor's schema, the samples as its variables. */
export function checkGraphql (text: string): (samples: Samples) => readonly Finding[] {
  const schema = buildSchema(text, { assumeValidSDL: true })
  return ({ least, most }) => {
    const read = (request: Samples['least']) => bodyOf(request)?.value as Payload | undefined
    const [small, full] = [read(least), read(most)]
    if (small === undefined || full === undefined) return [{ check: 'operation', detail: 'has no document' }]
    const document = parse(full.query)
    const errors = validate(schema, document)
    const operation = document.definitions.find((one): one is OperationDefinitionNode => one.kind === Kind.OPERATION_DEFINITION)
    const declared = operation?.variableDefinitions ?? []
    const names = new Set(declared.map((one) => one.variable.name.value))
    const required = declared.filter((one) => one.type.kind === Kind.NON_NULL_TYPE && one.defaultValue === undefined).map((one) => one.variable.name.value)
    const coerce = (payload: Payload) => {
      const { errors: wrong } = getVariableValues(schema, declared, payload.variables ?? {})
      return (wrong ?? []).map((error) => error.message)
    }
    return [
      { check: 'operation', detail: errors.map((error) => error.message).join('; ') },
      { check: 'parameters known', detail: Object.keys(full.variables ?? {}).filter((name) => !names.has(name)).join(', ') },
      { check: 'parameters sent', detail: required.filter((name) => !Object.hasOwn(small.variables ?? {}, name)).join(', ') },
      { check: 'examples valid', detail: errors.length > 0 ? '' : [...new Set([...coerce(full), ...coerce(small)])].join('; ') },
    ]
  }
}
