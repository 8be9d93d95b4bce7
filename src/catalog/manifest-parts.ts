import { Type } from 'typebox'

/** What several parts of a manifest are made of. */
export const closed = { additionalProperties: false } as const
export const Name = Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' })
export const Environment = Type.Enum(['sandbox', 'live'])

export const Pointer = Type.String({ pattern: '^(/[^/]*)*$' })
/** One, or several of which the first that leads to something counts. */
export const Pointers = Type.Union([Pointer, Type.Array(Pointer, { minItems: 1 })])

/** Tells an answer by its status, a header, or a value in its JSON body; what is given must all hold. */
export const Predicate = Type.Object({
  status: Type.Optional(Type.Union([Type.Integer(), Type.Array(Type.Integer())])),
  header: Type.Optional(Type.String({ pattern: '^[a-z0-9-]+$' })),
  /** JSON pointer (RFC 6901) into the body. */
  pointer: Type.Optional(Pointer),
  /** What the header or the pointed-at value is; any value when left out. */
  is: Type.Optional(Type.Array(Type.Union([Type.String(), Type.Boolean(), Type.Number()]), { minItems: 1 })),
  /** The pointed-at value is not there. */
  absent: Type.Optional(Type.Literal(true)),
}, closed)

export const Url = Type.String({ pattern: '^https?://' })
export const PerEnvironment = Type.Union([Type.String({ minLength: 1 }), Type.Record(Type.String(), Type.String({ minLength: 1 }))])
export const TextMap = Type.Record(Type.String(), Type.String())
