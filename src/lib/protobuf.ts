/** What the broker uses of @bufbuild/protobuf, named once. */
export type { DescFile, DescMessage, FileRegistry, Message } from '@bufbuild/protobuf'
export { create, createFileRegistry, fromBinary, fromJson, isFieldSet, toBinary, toJson } from '@bufbuild/protobuf'
export type { GenMessage } from '@bufbuild/protobuf/codegenv2'
export * from '@bufbuild/protobuf/wkt'
