// Limits of names, and what clients say of virtual hosts.
import { Buffer } from 'node:buffer'

/** References of publishers and names of consumers: RabbitMQ stores their length in a byte. */
export const referenceBytesMax = 255

export const isReference = (reference: string): boolean => Buffer.byteLength(reference) <= referenceBytesMax

/** RabbitMQ's default virtual host is the default namespace. */
export const namespaceOf = (virtualHost: string): string => (virtualHost === '/' ? 'default' : virtualHost)
