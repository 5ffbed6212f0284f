"""Whether what clients were told is so, and whether anything has happened twice."""

import json

from cluster import once


class Audit:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, holds, text, *why):
        print('  %s  %s' % ('ok    ' if holds else 'FAILED', text), flush=True)
        for line in [] if holds else why:
            print('          %s' % (line,), flush=True)
        self.passed += bool(holds)
        self.failed += not holds
        return holds

    def none(self, faults, text):
        """No faults are left; the first of those that are."""
        faults = list(faults)
        return self.check(not faults, text, '%d of them, such as %s' % (len(faults), faults[:3]))


def requests(partner_log):
    """What has reached the service, line by line."""
    found = []
    with open(partner_log, encoding='utf-8', errors='replace') as file:
        for line in file:
            if not line.endswith('\n'):
                break
            entry = json.loads(line)
            if 'method' not in entry or entry['body'] == '':
                continue
            body = json.loads(entry['body'])
            found.append({'time': entry['time'], 'from': entry.get('from'), 'key': entry['headers'].get('idempotency-key'),
                          'path': entry['path'], 'sn': body['sn'], 'n': body['n']})
    return found


def audit_rows(audit, connection, ledger):
    """Of the clients' side: starts, messages, callbacks, work."""
    rows = once(connection, "SELECT business_key::bigint, instance, status, data FROM workflow.instances WHERE process = 'trip'")
    instances = {}
    for n, instance, status, data in rows:
        instances.setdefault(n, []).append((instance, status, data))
    started = ledger.started
    audit.none((n for n in started if n not in instances), '%d starts were told; none is lost' % len(started))
    audit.none((n for n, found in instances.items() if len(found) > 1), 'no business key has two instances')
    audit.none((n for n, instance in started.items() if instance is not None and n in instances and instances[n][0][0] != instance),
               'each has the number that was told')
    audit.none((n for n, found in instances.items() if found[0][1] != 'completed'), 'all have come to their end')
    data = {n: found[0][2] for n, found in instances.items()}
    audit.none((n for n in ledger.sent if n in data and data[n].get('paid') != n), '%d messages were told; none is lost' % len(ledger.sent))
    ends = {}
    for serial, n, step, outcome in once(connection, "SELECT h.serial_number, i.business_key::bigint, h.step, h.outcome FROM workflow.history h "
                                                     "JOIN workflow.instances i USING (instance) WHERE i.process = 'trip'"):
        ends.setdefault((n, step), []).append((serial, outcome))
    audit.none((serial for serial, (n, token) in ledger.confirmed.items() if n in data and data[n].get('by') != token),
               '%d callbacks were told; each counts, and no other' % len(ledger.confirmed))
    audit.none((serial for serial in ledger.undone if any(serial == end[0] for found in ends.values() for end in found)),
               '%d serial numbers were shown by views of an old primary, and are nobody\'s now' % len(ledger.undone))
    audit.none((place for place, found in ends.items() if len(found) != 1 or found[0][1] != 'SUCCESS'), '%d visits: each step was done once' % len(ends))
    effects = {}
    for n, step, serial in once(connection, 'SELECT n, step, sn FROM effect'):
        effects.setdefault((n, step), []).append(serial)
    wanted = {(n, step) for n in instances for step in ('book', 'pack', 'note')}
    audit.none((place for place, found in effects.items() if len(found) != 1), '%d effects of SQL: none came twice' % len(effects))
    audit.none(wanted - set(effects), 'nor is one lost')
    audit.none(((n, serial) for n, serial in ledger.packed.items() if effects.get((n, 'pack')) != [serial]),
               'work that was told to be done is done, by who did it')
    state = once(connection, "SELECT n FROM trips WHERE state IS DISTINCT FROM 'completed'")
    audit.none((n for n, in state), 'rows show it')
    return ends


def audit_requests(audit, found, ends, ledger):
    """Of the side of the service: a request under the same key counts as one."""
    keys, places, serials = {}, {}, {}
    for request in found:
        place = (request['n'], request['path'].strip('/'))
        keys.setdefault(place, set()).add(request['key'])
        places.setdefault(request['key'], set()).add(place)
        serials.setdefault(request['sn'], set()).add(place)
    audit.none((place for place, some in keys.items() if len(some) != 1),
               '%d requests under %d keys (%d repeated): each step has one key' % (len(found), len(places), len(found) - len(places)))
    audit.none((key for key, some in places.items() if len(some) != 1), 'no key stands for two steps')
    audit.none((serial for serial, some in serials.items() if len(some) != 1), 'no serial number was issued twice')
    step = {'accept': 'charge', 'echo': 'ship'}
    audit.none((request['sn'] for request in found
                if request['path'].strip('/') in step and [end[0] for end in ends.get((request['n'], step[request['path'].strip('/')]), [])] != [request['sn']]),
               'nothing was sent of which the rows do not know')
    seen = dict(ledger.seen)
    audit.none((request['sn'] for request in found if seen.setdefault(request['sn'], request['n']) != request['n']), 'clients and service know them alike')


def audit_peace(audit, connection):
    audit.none(once(connection, 'SELECT * FROM workflow.verify()'), 'the rows agree with each other')
    audit.none(once(connection, 'SELECT process, step, error FROM workflow.incidents'), 'there is no incident')
    audit.none(once(connection, "SELECT serial_number, outcome FROM workflow.history WHERE process = 'hang'"), 'what is never answered still waits')
