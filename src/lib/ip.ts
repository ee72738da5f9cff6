/** IP addresses and networks, as text. */
import { BlockList, isIP, SocketAddress } from 'node:net'

/** The one form of an address: IPv4 without what marks it on a socket of both kinds, IPv6 in short and without its interface. Other text stays as it is. */
export function plainAddress(text: string): string {
  const address = text.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '')
  return isIP(address) === 6 ? new SocketAddress({ address, family: 'ipv6' }).address : address
}

/** Whether an address, in its plain form, is this one or lies in this network (`10.0.0.0/8`); null for text that is neither. */
export function networkOf(text: string): ((address: string) => boolean) | null {
  const [base = '', prefix, ...more] = text.split('/')
  const version = isIP(base)
  if (version === 0 || base.includes('%') || more.length > 0) return null
  if (prefix === undefined) {
    const only = plainAddress(base)
    return (address) => address === only
  }
  const bits = Number(prefix)
  if (!/^\d{1,3}$/.test(prefix) || bits > (version === 4 ? 32 : 128)) return null
  const list = new BlockList()
  list.addSubnet(base, bits, version === 4 ? 'ipv4' : 'ipv6')
  return (address) => isIP(address) !== 0 && list.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6')
}
