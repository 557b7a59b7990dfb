import { describe, expect, test } from 'vitest';
import { parseNatMappings } from '../../../src/adapters/lab/nat-mappings.ts';

/**
 * `conntrack -L -o xml` of conntrack-tools 1.4.7 on Linux 6.18, after a UDP datagram from
 * 127.0.0.1:3000 to 127.0.0.2:5000 with source NAT to 127.0.0.1:4000, and a ping.
 */
const XML = `<?xml version="1.0" encoding="utf-8"?>
<conntrack>
<flow><meta direction="original"><layer3 protonum="2" protoname="ipv4"><src>127.0.0.1</src><dst>127.0.0.2</dst></layer3><layer4 protonum="17" protoname="udp"><sport>3000</sport><dport>5000</dport></layer4></meta><meta direction="reply"><layer3 protonum="2" protoname="ipv4"><src>127.0.0.2</src><dst>127.0.0.1</dst></layer3><layer4 protonum="17" protoname="udp"><sport>5000</sport><dport>4000</dport></layer4></meta><meta direction="independent"><timeout>29</timeout><mark>0</mark><use>1</use><id>3738300075</id><unreplied/></meta></flow>
<flow><meta direction="original"><layer3 protonum="2" protoname="ipv4"><src>127.0.0.1</src><dst>127.0.0.1</dst></layer3><layer4 protonum="1" protoname="icmp"></layer4></meta><meta direction="reply"><layer3 protonum="2" protoname="ipv4"><src>127.0.0.1</src><dst>127.0.0.1</dst></layer3><layer4 protonum="1" protoname="icmp"></layer4></meta><meta direction="independent"><timeout>29</timeout><mark>0</mark><use>1</use><id>1793926657</id></meta></flow>
</conntrack>`;
const MAPPING = {
  inside: { ip: '127.0.0.1', port: 3000 },
  outside: { ip: '127.0.0.1', port: 4000 },
  remote: { ip: '127.0.0.2', port: 5000 },
};

describe('the router’s mappings', () => {
  test('a UDP flow is read in both directions; one without ports is left out', () => {
    expect(parseNatMappings(XML)).toEqual([MAPPING]);
  });

  test('a text cut off anywhere gives the mapping or none', () => {
    for (let length = 0; length < XML.length; length++) {
      const cut = parseNatMappings(XML.slice(0, length));
      expect(cut.length === 0 ? [MAPPING] : cut, `${length} characters`).toEqual([MAPPING]);
    }
    expect(parseNatMappings(XML.slice(0, XML.indexOf('</flow>')))).toEqual([]);
  });

  test('no flow is no mapping', () => {
    expect(parseNatMappings('')).toEqual([]);
  });
});
