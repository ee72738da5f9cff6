/** An Avro schema as a tree (Avro 1.11 specification, "Schema Declaration"). Named types refer to themselves by identity, so it may be cyclic. */

export const primitives = ['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'] as const
export type Primitive = (typeof primitives)[number]

/** Attributes that the specification does not name, such as logicalType. */
export type Properties = Readonly<Record<string, unknown>>

export interface Field {
  readonly name: string
  readonly type: AvroType
  readonly aliases: readonly string[]
  readonly doc?: string
  readonly order?: string
  /** Absent: it has none. */
  readonly default?: { readonly value: unknown }
  readonly properties: Properties
}

interface Named {
  /** Without namespace. */
  readonly name: string
  readonly namespace: string
  /** Full names. */
  readonly aliases: readonly string[]
  readonly doc?: string
  readonly properties: Properties
}

export type RecordType = Named & { readonly kind: 'record' | 'error'; readonly fields: readonly Field[] }
export type EnumType = Named & { readonly kind: 'enum'; readonly symbols: readonly string[]; readonly default?: string }
export type FixedType = Named & { readonly kind: 'fixed'; readonly size: number }
export type NamedType = RecordType | EnumType | FixedType

export type AvroType =
  | { readonly kind: Primitive; readonly properties: Properties }
  | NamedType
  | { readonly kind: 'array'; readonly items: AvroType; readonly properties: Properties }
  | { readonly kind: 'map'; readonly values: AvroType; readonly properties: Properties }
  | { readonly kind: 'union'; readonly branches: readonly AvroType[] }

export const isNamed = (type: AvroType): type is NamedType =>
  type.kind === 'record' || type.kind === 'error' || type.kind === 'enum' || type.kind === 'fixed'

export const isRecord = (type: AvroType): type is RecordType => type.kind === 'record' || type.kind === 'error'

export const fullName = ({ name, namespace }: Pick<Named, 'name' | 'namespace'>): string =>
  namespace === '' ? name : `${namespace}.${name}`

/** By which JSON tells the branches of a union apart: a full name, else the kind. */
export const branchName = (type: AvroType): string => (isNamed(type) ? fullName(type) : type.kind)
