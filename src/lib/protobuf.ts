/** @bufbuild/protobuf with its well-known types, loaded when it is first needed: an idle broker does without. */
import { createRequire } from 'node:module'
import type * as Library from '@bufbuild/protobuf'
import type * as WellKnown from '@bufbuild/protobuf/wkt'

export type { DescFile, DescMessage, FileRegistry, JsonValue, Message } from '@bufbuild/protobuf'
export type { GenMessage } from '@bufbuild/protobuf/codegenv2'
export type {
  DescriptorProto,
  EnumDescriptorProto,
  FieldDescriptorProto,
  FileDescriptorProto,
  ServiceDescriptorProto,
  UninterpretedOption,
} from '@bufbuild/protobuf/wkt'

type Protobuf = typeof Library & typeof WellKnown

const load = createRequire(import.meta.url)
let loaded: Protobuf | undefined

export function protobuf(): Protobuf {
  // The libraries' own types.
  loaded ??= { ...(load('@bufbuild/protobuf') as typeof Library), ...(load('@bufbuild/protobuf/wkt') as typeof WellKnown) }
  return loaded
}
