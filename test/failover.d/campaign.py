"""test/failover: a cluster of three nodes, load, and what kills its primary; then what became of it all."""

import argparse
import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime, timezone

import psycopg2

import audit
from cluster import Cluster, Trouble, ask, once, send, wait_for
from load import SETUP, Ledger, Load

HANGING = 5  # requests that are never answered: each new primary sends them again

FAST = ['postmaster', 'cut']
ALL = ['postmaster', 'cut', 'node', 'frozen', 'patroni killed', 'isolated', 'patroni frozen', 'switchover']
NEED_NETWORK = {'cut', 'isolated'}
TELL = {
    'postmaster': 'kill -9 of the postmaster',
    'node': 'kill -9 of PostgreSQL, Patroni and etcd; then PostgreSQL is started by hand',
    'patroni killed': 'kill -9 of Patroni alone: PostgreSQL goes on without it',
    'patroni frozen': 'Patroni alone is stopped for a while',
    'frozen': 'PostgreSQL, Patroni and etcd are stopped for a while',
    'cut': 'the network to the other nodes is cut; clients and services still reach it',
    'isolated': 'the network to everybody is cut',
    'switchover': 'switchover, as for an upgrade'}


def say(text):
    print(text, flush=True)


class Campaign:
    def __init__(self, options):
        self.options = options
        user = pwd.getpwnam(options.user)
        self.cluster = Cluster(os.path.join(options.work, 'nodes'), options.bin, user, options.namespaces, options.ttl)
        self.ledger = Ledger()
        self.audit = audit.Audit()
        self.load = None
        self.partner = None
        self.figures = []  # (kind, longest gap, median gap, until promoted, dispatcher begins, first request)
        self.promotions = []  # (old, new, when, when the old one is back)

    # ---- begin and end ----

    def start_partner(self):
        folder = os.path.join(self.options.work, 'partner')
        self.cluster.make_folder(folder)
        self.partner_log = os.path.join(folder, 'log')
        port_file = os.path.join(folder, 'port')
        with open(os.path.join(folder, 'out'), 'ab') as out:
            self.partner = self.cluster.children.start(
                self.cluster.as_user + ['perl', os.path.join(self.options.source, 'test/partner/partner'), '--host', self.cluster.network.own,
                                        '--port-file', port_file, '--log', self.partner_log, '--psql', self.cluster.connection()],
                cwd=folder, stdout=out, stderr=out)
        wait_for('the service', lambda: os.path.exists(port_file), 20)
        with open(port_file, encoding='ascii') as file:
            return 'http://%s:%s' % (self.cluster.network.own, file.read().strip())

    def begin(self):
        start = time.time()
        for node in self.cluster.nodes:
            node.start_etcd()
        self.cluster.start()
        say('  three nodes, Patroni %s, ttl %d s, after %d s' % (patroni_version(), self.options.ttl, time.time() - start))
        url = self.start_partner()
        once(self.cluster.connection(), SETUP.format(url=url))
        once(self.cluster.connection(), "SELECT workflow.start('hang', jsonb_build_object('n', -n)) FROM generate_series(1, %s) n", (HANGING,))
        wait_for('the first requests', lambda: self.hanging(self.cluster.primary(), 0) >= HANGING, 20)
        self.load = Load(self.cluster.connection(), self.ledger, self.options.interval)

    def end(self):
        if self.load is not None:
            self.load.stop.set()
        self.cluster.end()
        if self.partner is not None:
            send([self.partner.pid], signal.SIGKILL)

    # ---- what can be seen ----

    def hanging(self, node, since):
        """How many of the requests that are never answered have come from there since then."""
        found = {request['key'] for request in audit.requests(self.partner_log)
                 if request['path'] == '/hang' and request['time'] >= since and request['from'] in (node.address, None, self.cluster.network.own)}
        return len(found)

    def promoted_at(self, node, since):
        """When its server was ready to be written to, as its log says."""
        found = None
        for line in node.log().split('\n'):
            if 'database system is ready to accept connections' in line:
                at = datetime.strptime(line[:23], '%Y-%m-%d %H:%M:%S.%f').replace(tzinfo=timezone.utc).timestamp()
                found = at if at >= since and found is None else found
        return found

    # ---- what happens to a primary ----

    def strike(self, kind, node):
        if kind == 'postmaster':
            send([node.postmaster()], signal.SIGKILL)
        elif kind == 'node':
            send(node.all_processes(), signal.SIGKILL)
        elif kind == 'patroni killed':
            send([node.patroni.pid], signal.SIGKILL)
        elif kind == 'patroni frozen':
            send([node.patroni.pid], signal.SIGSTOP)
        elif kind == 'frozen':
            self.stopped = node.all_processes()
            send(self.stopped, signal.SIGSTOP)
        elif kind == 'cut':
            self.cluster.network.cut_from_nodes(node.name)
        elif kind == 'isolated':
            self.cluster.network.cut_from_all(node.name)
        elif kind == 'switchover':
            post = node.api + '/switchover'
            wait_for('a switchover', lambda: ask(post, {'leader': node.name}, timeout=60)[0] == 200, 60)

    def heal(self, kind, node):
        if kind == 'node':
            self.by_hand(node)
            node.start_etcd()
        elif kind == 'patroni frozen':
            send([node.patroni.pid], signal.SIGCONT)
        elif kind == 'frozen':
            send(self.stopped, signal.SIGCONT)
        elif kind == 'cut':
            self.cluster.network.join_nodes(node.name)
        elif kind == 'isolated':
            self.cluster.network.join_all(node.name)
        elif kind == 'patroni killed':
            # as KillMode=mixed in its unit does: Patroni 3.0.2 lets go what waits for a standby before it looks who is the primary
            send(node.postgres(), signal.SIGKILL)
        node.start_patroni()

    def by_hand(self, node):
        """Somebody starts the old primary without Patroni, as a service of the machine would: it believes that it is one."""
        since = time.time()
        if not self.audit.check(node.start_by_hand(), 'the old primary is started by hand'):
            return
        end = time.time() + self.options.by_hand
        while time.time() < end:
            time.sleep(0.2)
        role = once(self.cluster.connection_to(node), 'SELECT pg_is_in_recovery(), (SELECT count(*) FROM workflow.visits WHERE state = %s)', ('calling',))
        self.audit.check(role[0][0] is False and role[0][1] >= HANGING, 'it takes itself for the primary, with requests that are due', role)
        if self.options.namespaces:
            sent = [request for request in audit.requests(self.partner_log) if request['from'] == node.address and request['time'] > since]
            self.audit.none(sent, 'it sends nothing')
        node.stop_by_hand()

    def new_primary(self, old):
        for node in self.cluster.nodes:
            if node is not old and node.is_primary():
                return node
        return None

    def fail_over(self, kind):
        old = self.cluster.await_whole()
        say('\n%s: %s' % (old.name, TELL[kind]))
        last, highest = self.ledger.last, max((number for number in self.ledger.started.values() if number), default=0)
        at = time.time()
        self.strike(kind, old)
        new = wait_for('a new primary', lambda: self.new_primary(old), self.options.ttl * 3 + 60)
        promoted = wait_for('its log', lambda: self.promoted_at(new, at), 20)
        wait_for('requests of the new primary', lambda: self.hanging(new, promoted - 0.01) >= HANGING, 30)
        began = once(self.cluster.connection_to(new), "SELECT extract(epoch FROM min(backend_start))::float8 FROM pg_stat_activity WHERE backend_type = 'workflow dispatcher'")[0][0]
        first = min(r['time'] for r in audit.requests(self.partner_log)
                    if r['path'] == '/hang' and r['time'] >= promoted - 0.01 and r['from'] in (new.address, None, self.cluster.network.own))
        time.sleep(self.options.after)
        self.audit.none((number for n, number in self.ledger.started.copy().items() if n > last and number and number <= highest),
                        'numbers go on beyond those that were given out')
        self.heal(kind, old)
        self.cluster.await_whole()
        back = time.time()
        longest, median = self.load.gap(at, back)
        self.promotions.append((kind, old, new, promoted, back))
        self.figures.append((kind, longest, median, promoted - at, began - promoted, first - promoted))
        say('  %s is primary after %.1f s; its dispatcher begins %.2f s later, its first request leaves after %.2f s; %s is back after %.0f s\n'
            '  clients are served nothing for %.1f s (median %.1f s)'
            % (new.name, promoted - at, began - promoted, first - promoted, old.name, back - at, longest, median))

    # ---- the whole ----

    def kinds(self):
        wanted = ALL if self.options.kills > len(FAST) else FAST
        wanted = [kind for kind in wanted if self.options.namespaces or kind not in NEED_NETWORK]
        return [wanted[i % len(wanted)] for i in range(self.options.kills)]

    def drain(self):
        self.load.closing.set()
        try:
            wait_for('all to come to their end', self.is_drained, 120)
        except Trouble as trouble:
            self.audit.check(False, str(trouble), *self.cluster.logs())
        self.load.stop.set()

    def is_drained(self):
        if not self.load.is_done():
            return False
        try:
            return once(self.cluster.connection(), "SELECT count(*) FROM workflow.instances WHERE process = 'trip' AND ended_at IS NULL")[0][0] == 0
        except psycopg2.Error:
            return False

    def run(self):
        self.begin()
        start = time.time()
        kinds = self.kinds()
        for i, kind in enumerate(kinds):
            # those that are left share what is left of the time
            pause = (start + self.options.minutes * 60 - time.time()) / (len(kinds) - i)
            until = time.time() + max(self.options.before, pause - self.options.ttl * 3)
            while time.time() < until:
                time.sleep(0.1)
            self.fail_over(kind)
        self.drain()
        self.judge()
        self.asynchronous()

    def judge(self):
        say('\nWhat became of it')
        connection = self.cluster.connection()
        ends = audit.audit_rows(self.audit, connection, self.ledger)
        found = audit.requests(self.partner_log)
        audit.audit_requests(self.audit, found, ends, self.ledger)
        audit.audit_peace(self.audit, connection)
        self.judge_old(found)
        began = sorted(figure[4] for figure in self.figures)
        sent = sorted(figure[5] for figure in self.figures)
        self.audit.check(began[len(began) // 2] < 1, 'workers begin within a second of the promotion: median %.2f s, longest %.2f s; first request %.2f s, %.2f s'
                         % (began[len(began) // 2], began[-1], sent[len(sent) // 2], sent[-1]))
        say('\n%d starts; clients are served nothing, in seconds, by what has happened (ttl %d s):' % (len(self.ledger.started), self.options.ttl))
        for kind in dict.fromkeys(figure[0] for figure in self.figures):
            some = [figure[1] for figure in self.figures if figure[0] == kind]
            say('  %-16s %s' % (kind, ' '.join('%.1f' % gap for gap in some)))
        if self.cluster.helped:
            say('standbys that had to be helped: %s' % ', '.join(self.cluster.helped))
        say('what they were told meanwhile:')
        for text, n in sorted(self.ledger.errors.items(), key=lambda item: -item[1])[:8]:
            say('  %5d  %s' % (n, text))

    def judge_old(self, found):
        """Between the promotion of the new primary and the return of the old one as a standby."""
        if not self.options.namespaces:
            return
        for kind, old, new, promoted, back in self.promotions:
            sent = [request for request in found if request['from'] == old.address and promoted < request['time'] < back]
            late = '%s: %d requests of the old primary after the promotion' % (kind, len(sent))
            if kind in ('patroni killed', 'patroni frozen', 'frozen', 'isolated'):  # of a dead one the kernel still sends what was written
                known = {request['key'] for request in found if request['from'] != old.address or request['time'] < promoted}
                self.audit.none((request for request in sent if request['key'] not in known and request['path'] != '/hang'), late + ', under keys that are known')
            else:
                self.audit.none(sent, late)

    # ---- asynchronous replication ----

    def asynchronous(self):
        """What was told and did not reach a standby is lost; a query tells how much that would be, and its numbers are never given again."""
        say('\nAsynchronous replication: what a query says, and what is lost')
        self.cluster.change_settings({'synchronous_mode': False})
        old = self.cluster.await_whole(False)
        connection = self.cluster.connection_to(old)
        wait_for('no synchronous standby', lambda: once(connection, "SHOW synchronous_standby_names")[0][0] == '', 60)
        time.sleep(1)
        senders = [pid for pid, in once(connection, 'SELECT pid FROM pg_stat_replication')]
        send(senders, signal.SIGSTOP)
        told = [row for row in once(connection, "SELECT workflow.start('hang', jsonb_build_object('n', -100 - n)) FROM generate_series(1, 20) n")]
        numbers = [number for number, in told]
        serials = [serial for serial, in once(connection, 'SELECT serial_number FROM workflow.visits WHERE instance = ANY (%s)', (numbers,))]
        wait_for('their requests', lambda: sum(1 for request in audit.requests(self.partner_log) if request['sn'] in serials) == 20, 20)
        lag = once(connection, 'SELECT application_name, pg_wal_lsn_diff(pg_current_wal_flush_lsn(), flush_lsn) FROM pg_stat_replication')
        self.audit.check(len(lag) == 2 and min(bytes_ for _, bytes_ in lag) > 0, 'the query says what is at stake: %s bytes'
                         % ', '.join('%s %d' % row for row in lag), lag)
        send(old.postgres() + senders, signal.SIGKILL)
        new = wait_for('a new primary', lambda: self.new_primary(old), self.options.ttl * 3 + 60)
        connection = self.cluster.connection_to(new)
        left = once(connection, 'SELECT count(*) FROM workflow.instances WHERE instance = ANY (%s)', (numbers,))[0][0]
        self.audit.check(left == 0, '20 starts that were told, and whose requests were sent, are lost', left)
        number = once(connection, "SELECT workflow.start('hang', '{\"n\": -200}')")[0][0]
        self.audit.check(number > max(numbers), 'their numbers are given to nobody: the next one is %d' % number, numbers)
        try:
            answer = once(connection, 'SELECT workflow.complete(%s)', (serials[0],))
        except psycopg2.Error as error:
            answer = error.pgcode
        self.audit.check(answer == '42704', 'who calls back for one of them is told that it does not exist', answer)
        self.cluster.await_whole(False)
        self.audit.check(once(self.cluster.connection(), 'SELECT count(*) FROM workflow.instances WHERE instance = ANY (%s)', (numbers,))[0][0] == 0,
                         'the old primary that is back brings nothing of them')


def patroni_version():
    return subprocess.run(['patroni', '--version'], capture_output=True, text=True, check=False).stdout.split()[-1]


def read_options():
    parser = argparse.ArgumentParser()
    parser.add_argument('--work', required=True)
    parser.add_argument('--bin', required=True)
    parser.add_argument('--source', required=True)
    parser.add_argument('--user', required=True)
    parser.add_argument('--namespaces', action='store_true')
    parser.add_argument('--minutes', type=float, default=0)
    parser.add_argument('--kills', type=int, default=2)
    parser.add_argument('--ttl', type=int, default=10)
    options = parser.parse_args()
    options.interval, options.before, options.after, options.by_hand = 0.3, 4, 3, 5
    return options


def end_when_let_go(campaign):
    """Standard input is a pipe to who has started this; its end is ours."""
    os.read(0, 1)
    campaign.end()
    os._exit(143)


def main():
    campaign = Campaign(read_options())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    threading.Thread(target=end_when_let_go, args=(campaign,), daemon=True).start()
    try:
        campaign.run()
    except (Trouble, psycopg2.Error) as trouble:
        campaign.audit.check(False, 'the campaign comes to its end', *str(trouble).split('\n'), *campaign.cluster.logs())
    finally:
        campaign.end()
    say('\n%d passed, %d failed' % (campaign.audit.passed, campaign.audit.failed))
    return 1 if campaign.audit.failed else 0


if __name__ == '__main__':
    sys.exit(main())
