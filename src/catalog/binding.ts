import { Type, type Static } from 'typebox'

const closed = { additionalProperties: false } as const

/** How a value of input is written: Parameter Object and Encoding Object of OpenAPI 3.1. */
const Style = Type.Enum(['simple', 'label', 'matrix', 'form', 'spaceDelimited', 'pipeDelimited', 'deepObject'])

const Parameter = Type.Object({
  in: Type.Enum(['path', 'query', 'header', 'cookie']),
  name: Type.String({ minLength: 1 }),
  style: Style,
  explode: Type.Boolean(),
  allow_reserved: Type.Optional(Type.Literal(true)),
  /** Written in this media type instead of a style. */
  media_type: Type.Optional(Type.String()),
}, closed)

const PropertyStyle = Type.Object({
  style: Type.Optional(Style), explode: Type.Optional(Type.Boolean()), media_type: Type.Optional(Type.String()),
}, closed)

const Body = Type.Object({
  media_type: Type.String({ minLength: 1 }),
  as: Type.Enum(['json', 'form', 'multipart', 'text', 'binary']),
  /** Properties of a form that are not written as the standard has it. */
  styles: Type.Optional(Type.Record(Type.String(), PropertyStyle)),
  /** Properties of a multipart body that are files. */
  files: Type.Optional(Type.Array(Type.String())),
}, closed)

/** What an action of an imported document adds: how its input is written, and which credential it asks for. */
export const Binding = Type.Object({
  parameters: Type.Array(Parameter),
  /** Query parameters that are a part of the path as it was written. */
  query: Type.Optional(Type.Record(Type.String(), Type.String())),
  /** The media types its body can have; the first is taken where the input does not say. */
  bodies: Type.Optional(Type.Array(Body, { minItems: 1 })),
  body_required: Type.Optional(Type.Literal(true)),
  /** Parameters that a property of the body has the name of: which is meant, flat input can't say. */
  ambiguous: Type.Optional(Type.Array(Type.String(), { minItems: 1 })),
  /** Alternatives, each of security schemes that are needed together; an empty one needs none. */
  security: Type.Array(Type.Array(Type.String())),
  /** Bodies are checked against their schema, too. */
  strict: Type.Optional(Type.Literal(true)),
}, closed)

export type Binding = Static<typeof Binding>
export type Parameter = Static<typeof Parameter>
export type BodyChoice = Static<typeof Body>
export type Style = Static<typeof Style>
