/** What may differ from Mosquitto 2.0, and why. The protocol's README names the same. */
type Lines = readonly string[]

interface Expected {
  /** Of the cases. */
  readonly name: RegExp
  readonly why: string
  readonly when: (theirs: Lines, ours: Lines) => boolean
}

const refused = (ours: Lines): boolean => ours.at(-1) === 'closed'
const weAreStricter = (theirs: Lines, ours: Lines): boolean => theirs.at(-1) !== 'closed' && refused(ours)
const otherReason = (theirs: Lines, ours: Lines): boolean => refused(theirs) && refused(ours) && theirs.length === ours.length
const same = (theirs: Lines, ours: Lines): boolean => theirs.join() === ours.join()

export const expected: readonly Expected[] = [
  {
    name: /^5\.0|^first packet: (5\.0|CONNECT|will|3\.1\.1 CONNECT of level 5)/,
    why: 'the reason is told before the end [4.13.1]; Mosquitto often says none',
    when: (theirs, ours) => same(theirs, ['closed']) && ours.length === 2 && refused(ours),
  },
  {
    name: /with flags/,
    why: 'reserved flags must be as they are written [2.1.3-1]; Mosquitto does not look at them everywhere',
    when: weAreStricter,
  },
  {
    name: /with a byte more|^3\.1 (UN)?SUBSCRIBE (cut to 2|(to|from) nothing)/,
    why: 'a packet that goes on after its end, or has nothing in it, is malformed; Mosquitto reads as far as it needs',
    when: weAreStricter,
  },
  {
    name: /^5\.0 (PUBREL|PUBREC|PUBLISH2|PUBLISH with flags (5|12)$|the same message)/,
    why: 'an identifier that nobody knows is told so (0x92), and a publish with QoS 2 that nobody hears (0x10)',
    when: (theirs, ours) =>
      same(
        theirs,
        ours.map((line) => line.replace(/0x(92|10)$/, '0x00')),
      ),
  },
  {
    name: /CONNECT (to "|of level)/,
    why: 'a version that is not spoken is answered in the words that its client most likely knows; bit 7 of the level, which bridges of Mosquitto set, is not',
    when: (_, ours) => refused(ours) && /0x(01|84)/.test(ours[0] ?? ''),
  },
  {
    name: /^5\.0 ((UN)?SUBSCRIBE (cut to 3|to nothing|from nothing|with options 48)|PUBLISH (with packet id 0|with topic alias 0|to a topic with ))/,
    why: 'another of the reasons that the specification has for it',
    when: otherReason,
  },
  {
    name: /^5\.0 PUBLISH (with (subscriptionId|subscription id 0|a flag of 2|a response topic)|of no text)/,
    why: 'a client sends no subscription identifier [3.3.4-6], a response topic has no wildcard [3.3.2-14], the payload format is looked at',
    when: weAreStricter,
  },
  {
    name: /CONNECT with authData$|with no local and a share|packet type (11|13)/,
    why: 'protocol errors that Mosquitto lets pass: [3.1.2.11.10], [3.8.3-4], a PINGRESP or an UNSUBACK of a client',
    when: weAreStricter,
  },
  {
    name: /(UN)?SUBSCRIBE (to|from) \$share/,
    why: 'a share without a name or a filter is malformed [4.8.2-1], [4.8.2-2]; Mosquitto takes it for a plain filter',
    when: weAreStricter,
  },
  {
    name: /conversation: .* a session that was away$/,
    why: 'what a subscription with QoS 1 or 2 is for is kept whatever QoS it was published with; Mosquitto keeps no QoS 0',
    when: (theirs, ours) =>
      same(
        theirs,
        ours.filter((line) => line !== 'reader: PUBLISH qos=0 c/away 4'),
      ),
  },
  {
    name: /conversation: .* two subscriptions to the same message$/,
    why: 'one with QoS 0 and one with a higher each have their copy (3.3.4), in either order; Mosquitto sends older versions one',
    when: (theirs, ours) => {
      const copies = ours.filter((line) => line.startsWith('reader: PUBLISH')).sort()
      return same(copies, ['reader: PUBLISH qos=0 c/over/a x', 'reader: PUBLISH qos=1 c/over/a x']) && theirs.length > 5
    },
  },
  {
    name: /conversation: 5\.0 a second connection with the same client id$/,
    why: 'the one that is taken over is told so [3.1.4-3]',
    when: (theirs, ours) =>
      same(
        theirs,
        ours.filter((line) => line !== 'first: DISCONNECT 0x8e'),
      ),
  },
]
