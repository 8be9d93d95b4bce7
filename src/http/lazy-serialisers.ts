import selector from '@fastify/fast-json-stringify-compiler'

/**
 * Serialisers that are compiled when their route answers for the first time: to compile those of
 * all routes takes a second of a start, to compile one takes milliseconds. Tests compile all of
 * them, or one that can't be would be found by its first caller.
 */
export function createLazySerialisers (): selector.SerializerFactory {
  const select = selector.SerializerSelector()
  return (schemas, options) => {
    const compile = select(schemas, options)
    return (part) => {
      let serialise: selector.Serializer | undefined
      return (data: unknown) => {
        serialise ??= compile(part)
        return serialise(data)
      }
    }
  }
}
