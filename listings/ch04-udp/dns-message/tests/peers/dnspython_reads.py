"""What dnspython reads in messages: one in hexadecimal on each line of standard input, what it says on
each of the output."""

import sys

import dns.message
import dns.rdatatype

# Of these, the data are shown as in a zone file; of all others, as bytes.
READ = {"A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"}

# QR, AA, TC, RD, RA, the reserved bit, AD, CD.
FLAGS = 0x87F0


def data(rdata):
    if dns.rdatatype.to_text(rdata.rdtype) in READ:
        return rdata.to_text()
    wire = rdata.to_generic().data
    return f"\\# {len(wire)} {wire.hex()}".rstrip()


def record(rrset):
    (rdata,) = rrset
    name = rrset.name.to_text()
    return f"{name} {rrset.ttl} {int(rrset.rdclass)} {int(rrset.rdtype)} {data(rdata)}"


def read(wire):
    message = dns.message.from_wire(wire, one_rr_per_rrset=True)
    flags = message.flags & FLAGS
    parts = [str(message.id), str(int(message.opcode())), str(int(message.rcode())), str(flags)]
    for question in message.question:
        name = question.name.to_text()
        parts.append(f"{name} {int(question.rdclass)} {int(question.rdtype)}")
    for section in (message.answer, message.authority, message.additional):
        parts.append("--")
        parts.extend(record(rrset) for rrset in section)
    if message.edns >= 0:
        wants_signatures = str(bool(message.ednsflags & 0x8000)).lower()
        parts.append(f"edns {message.payload} {message.edns} {wants_signatures}")
        parts.extend(f"{int(option.otype)} {option.to_wire().hex()}" for option in message.options)
    return "|".join(parts)


for line in sys.stdin:
    try:
        print(read(bytes.fromhex(line.strip())))
    except dns.exception.DNSException:
        print("refused")
