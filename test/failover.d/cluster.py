"""Three nodes, each with etcd, Patroni and PostgreSQL: start them, hurt them, heal them.

With root each node has a network namespace of its own, on a bridge in the namespace of the campaign, so that the network between
nodes can be cut. Without, a node is an address of 127.0.0.0/8, and nothing can be cut.
"""

import ctypes
import json
import os
import random
import signal
import subprocess
import threading
import time
import urllib.request

import psycopg2

PR_SET_CHILD_SUBREAPER = 36
POSTGRES_PORT, PATRONI_PORT, ETCD_PORT, PEER_PORT = 5432, 8008, 2379, 2380
SCOPE = 'workflow'
PATIENCE = 50  # seconds, until a node that does not come back is helped


class Trouble(Exception):
    """The cluster does not do what it should."""


def wait_for(what, condition, seconds):
    """The first value that counts as true; what is awaited must come within so many seconds."""
    end = time.time() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.time() > end:
            raise Trouble('waited %d s for this: %s' % (seconds, what))
        time.sleep(0.05)


def once(connection, sql, values=None):
    """One statement in a connection of its own; the rows."""
    with_rows = psycopg2.connect(connection)
    try:
        with_rows.autocommit = True
        with with_rows.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall() if cursor.description else []
    finally:
        with_rows.close()


class Children:
    """Processes that were started here, and those whose parents have died: nobody else might reap them."""

    def __init__(self):
        self.known = set()
        self.lock = threading.Lock()
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        threading.Thread(target=self.reap, daemon=True).start()

    def start(self, command, **options):
        with self.lock:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
            self.known.add(process.pid)
        return process

    def run(self, command, **options):
        """To its end, with what it says as a text."""
        process = self.start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
        said = process.communicate()[0].decode(errors='replace')
        return process.returncode, said

    def reap(self):
        while True:
            time.sleep(0.05)
            with self.lock:
                try:
                    found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                    if found is not None and found.si_pid not in self.known:
                        os.waitpid(found.si_pid, os.WNOHANG)
                    elif found is not None:
                        # one of ours stands before it: whoever has started that asks for it
                        self.reap_strangers()
                except ChildProcessError:
                    pass

    def reap_strangers(self):
        for name in os.listdir('/proc'):
            if not name.isdigit() or int(name) in self.known:
                continue
            state, parent = process_state(int(name))
            if state == 'Z' and parent == os.getpid():
                try:
                    os.waitpid(int(name), os.WNOHANG)
                except ChildProcessError:
                    pass


def process_state(pid):
    try:
        with open('/proc/%d/stat' % pid, encoding='ascii', errors='replace') as file:
            fields = file.read().rpartition(') ')[2].split()
        return fields[0], int(fields[1])
    except OSError:
        return None, None


def alive(pid):
    return process_state(pid)[0] not in (None, 'Z', 'X')


def descendants(pid):
    """All processes below one, the nearest first."""
    children = {}
    for name in os.listdir('/proc'):
        if name.isdigit():
            children.setdefault(process_state(int(name))[1], []).append(int(name))
    found = [pid]
    for at in found:
        found += children.get(at, [])
    return found[1:]


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def ask(url, data=None, method=None, timeout=2):
    """Status and body of a request to Patroni; None if there is no answer."""
    request = urllib.request.Request(url, data=json.dumps(data).encode() if data is not None else None, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (OSError, ValueError):
        return None, ''


class Network:
    """Addresses of nodes and of the campaign; which command enters the network of a node; what is cut."""

    def __init__(self, children, names, namespaces):
        self.children = children
        self.namespaces = namespaces
        self.holders = {}
        if namespaces:
            self.own = '10.99.0.1'
            self.address = {name: '10.99.0.%d' % (11 + i) for i, name in enumerate(names)}
            self.ip('link', 'set', 'lo', 'up')
            self.ip('link', 'add', 'nodes', 'type', 'bridge')
            self.ip('addr', 'add', self.own + '/24', 'dev', 'nodes')
            self.ip('link', 'set', 'nodes', 'up')
            for name in names:
                self.add(name)
        else:
            # whoever else tests here has other addresses, with luck; ports are those of the machine
            net = '127.%d.%d' % (random.randint(16, 250), random.randint(1, 250))
            self.own = '127.0.0.1'
            self.address = {name: '%s.%d' % (net, 11 + i) for i, name in enumerate(names)}

    def ip(self, *words, inside=None):
        status, said = self.children.run(self.entering(inside) + ['ip', *words])
        if status != 0:
            raise Trouble('ip %s: %s' % (' '.join(words), said))

    def entering(self, name):
        return ['nsenter', '-t', str(self.holders[name].pid), '-n'] if name in self.holders else []

    def add(self, name):
        self.holders[name] = self.children.start(['unshare', '--net', 'sleep', 'infinity'])
        own = os.readlink('/proc/self/ns/net')
        link = '/proc/%d/ns/net' % self.holders[name].pid
        wait_for('a network namespace', lambda: os.readlink(link) != own, 5)
        self.ip('link', 'add', 'to_' + name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', str(self.holders[name].pid))
        self.ip('link', 'set', 'to_' + name, 'master', 'nodes')
        self.ip('link', 'set', 'to_' + name, 'up')
        self.ip('link', 'set', 'lo', 'up', inside=name)
        self.ip('addr', 'add', self.address[name] + '/24', 'dev', 'eth0', inside=name)
        self.ip('link', 'set', 'eth0', 'up', inside=name)

    def cut_from_nodes(self, name):
        """Clients, and the service that is called, still reach it."""
        for other, address in self.address.items():
            if other != name:
                self.ip('route', 'add', 'blackhole', address + '/32', inside=name)

    def join_nodes(self, name):
        for other, address in self.address.items():
            if other != name:
                self.ip('route', 'del', 'blackhole', address + '/32', inside=name)

    def cut_from_all(self, name):
        self.ip('link', 'set', 'to_' + name, 'down')

    def join_all(self, name):
        self.ip('link', 'set', 'to_' + name, 'up')

    def end(self):
        send([holder.pid for holder in self.holders.values()], signal.SIGKILL)


class Node:
    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name
        self.address = cluster.network.address[name]
        self.folder = os.path.join(cluster.folder, name)
        self.data = os.path.join(self.folder, 'data')
        self.api = 'http://%s:%d' % (self.address, PATRONI_PORT)
        self.etcd = self.patroni = None
        cluster.make_folder(self.folder)
        # etcd waits for the disk, which others keep busy; in a mount namespace of our own this goes with it
        cluster.make_folder(os.path.join(self.folder, 'etcd'))
        if cluster.network.namespaces:
            cluster.children.run(['mount', '-t', 'tmpfs', '-o', 'mode=700,uid=%d,gid=%d' % (cluster.user.pw_uid, cluster.user.pw_gid),
                                  'tmpfs', os.path.join(self.folder, 'etcd')])
        self.write_configuration()

    def write_configuration(self):
        settings = self.cluster.configuration(self)
        path = os.path.join(self.folder, 'patroni.yml')
        with open(path, 'w', encoding='ascii') as file:
            json.dump(settings, file, indent=1)  # JSON is YAML
        os.chmod(path, 0o644)

    def start(self, command, log):
        with open(os.path.join(self.folder, log), 'ab') as file:
            return self.cluster.children.start(
                self.cluster.network.entering(self.name) + self.cluster.as_user + command,
                cwd=self.folder, env=dict(os.environ, TMPDIR=self.folder), stdout=file, stderr=file, start_new_session=True)

    def start_etcd(self):
        if self.etcd is not None and self.etcd.poll() is None:
            return
        peers = ','.join('%s=http://%s:%d' % (name, address, PEER_PORT) for name, address in self.cluster.network.address.items())
        peer, client = 'http://%s:%d' % (self.address, PEER_PORT), 'http://%s:%d' % (self.address, ETCD_PORT)
        self.etcd = self.start(
            ['etcd', '--name', self.name, '--data-dir', 'etcd', '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer,
             '--listen-client-urls', client, '--advertise-client-urls', client, '--initial-cluster', peers,
             '--heartbeat-interval', '200', '--election-timeout', '2000', '--pre-vote', '--enable-v2', '--logger', 'zap', '--log-level', 'warn'], 'etcd.log')

    def start_patroni(self):
        if self.patroni is None or self.patroni.poll() is not None:
            self.patroni = self.start(['patroni', 'patroni.yml'], 'patroni.log')

    # ---- what runs here ----

    def postmaster(self):
        try:
            with open(os.path.join(self.data, 'postmaster.pid'), encoding='ascii') as file:
                pid = int(file.readline())
        except (OSError, ValueError):
            return None
        return pid if alive(pid) else None

    def postgres(self):
        pid = self.postmaster()
        return [] if pid is None else [pid] + descendants(pid)

    def all_processes(self):
        """etcd, Patroni, PostgreSQL, and what these have started."""
        pids = self.postgres()
        for process in (self.etcd, self.patroni):
            if process is not None and process.poll() is None:
                pids += [process.pid] + descendants(process.pid)
        return pids

    def state(self):
        """What Patroni says: role, state, timeline."""
        try:
            return json.loads(ask(self.api + '/patroni')[1])
        except ValueError:
            return {}

    def is_primary(self):
        """Patroni says so as soon as it has decided to promote."""
        if ask(self.api + '/primary', timeout=1)[0] != 200:
            return False
        try:
            return once(self.cluster.connection_to(self), 'SELECT pg_is_in_recovery()')[0][0] is False
        except psycopg2.Error:
            return False

    def log(self):
        try:
            with open(os.path.join(self.folder, 'log', 'postgres.log'), encoding='utf-8', errors='replace') as file:
                return file.read()
        except OSError:
            return ''

    # ---- by hand, without Patroni ----

    def start_by_hand(self):
        for file in (os.path.join(self.data, 'postmaster.pid'), os.path.join(self.folder, '.s.PGSQL.%d.lock' % POSTGRES_PORT)):
            if os.path.exists(file) and self.postmaster() is None:
                os.unlink(file)
        process = self.start([os.path.join(self.cluster.bin, 'pg_ctl'), '-D', self.data, '-w', '-t', '60', '-o',
                              '-c listen_addresses=%s -c unix_socket_directories=%s' % (self.address, self.folder), 'start'], 'by_hand.log')
        return process.wait() == 0

    def stop_by_hand(self):
        self.start([os.path.join(self.cluster.bin, 'pg_ctl'), '-D', self.data, '-m', 'immediate', '-w', 'stop'], 'by_hand.log').wait()


class Cluster:
    """The nodes, and what all of them share."""

    def __init__(self, folder, bin_folder, user, namespaces, ttl, preload='workflow'):
        self.folder, self.bin, self.ttl, self.preload = folder, bin_folder, ttl, preload
        self.user = user
        self.helped = []
        self.as_user = ['setpriv', '--reuid=%d' % user.pw_uid, '--regid=%d' % user.pw_gid, '--init-groups', '--'] if os.getuid() == 0 else []
        self.children = Children()
        names = ['n1', 'n2', 'n3']
        self.network = Network(self.children, names, namespaces)
        self.nodes = [Node(self, name) for name in names]

    def make_folder(self, folder):
        os.makedirs(folder)
        if os.getuid() == 0:
            os.chown(folder, self.user.pw_uid, self.user.pw_gid)

    def timing(self):
        """As the documentation of Patroni asks for: loop_wait + 2 * retry_timeout is no more than ttl."""
        loop_wait = max(1, self.ttl // 5)
        return {'ttl': self.ttl, 'loop_wait': loop_wait, 'retry_timeout': (self.ttl - loop_wait) // 2}

    def configuration(self, node):
        parameters = {
            'shared_preload_libraries': self.preload, 'max_connections': 60, 'max_worker_processes': 16, 'max_wal_senders': 8,
            'max_replication_slots': 8, 'wal_level': 'replica', 'hot_standby': 'on', 'wal_log_hints': 'on', 'wal_keep_size': '256MB',
            # processes are killed here, and no machines: what was written is there
            'fsync': 'off', 'logging_collector': 'on', 'log_directory': os.path.join(node.folder, 'log'), 'log_filename': 'postgres.log',
            'log_rotation_age': 0, 'log_rotation_size': 0, 'log_line_prefix': '%m [%p] %b %d ', 'log_timezone': 'UTC',
            'unix_socket_directories': node.folder, 'wal_sender_timeout': '5s', 'wal_receiver_timeout': '5s', 'tcp_keepalives_idle': 5,
            'tcp_keepalives_interval': 1, 'tcp_keepalives_count': 3, 'tcp_user_timeout': '5s'}
        login = {'username': 'postgres'}
        return {
            'scope': SCOPE, 'name': node.name,
            'restapi': {'listen': '%s:%d' % (node.address, PATRONI_PORT), 'connect_address': '%s:%d' % (node.address, PATRONI_PORT)},
            # version 2 of etcd's interface: with version 3, this Patroni takes the lock again without looking whether somebody else has it
            'etcd': {'hosts': ['%s:%d' % (address, ETCD_PORT) for address in self.network.address.values()]},
            'bootstrap': {
                'dcs': dict(self.timing(), check_timeline=True, synchronous_mode=True, master_start_timeout=0,
                            maximum_lag_on_failover=1048576,
                            postgresql={'use_pg_rewind': True, 'use_slots': True, 'parameters': parameters}),
                'initdb': [{'encoding': 'UTF8'}, {'locale': 'C.UTF-8'}, {'auth': 'trust'}]},
            'postgresql': {
                'listen': '%s:%d' % (node.address, POSTGRES_PORT), 'connect_address': '%s:%d' % (node.address, POSTGRES_PORT),
                'data_dir': node.data, 'bin_dir': self.bin, 'pgpass': os.path.join(node.folder, 'pgpass'),
                'authentication': {'superuser': login, 'replication': login, 'rewind': login},
                'pg_hba': ['local all all trust', 'host all all 0.0.0.0/0 trust', 'host replication all 0.0.0.0/0 trust'],
                'parameters': {name: parameters[name] for name in ('log_directory', 'unix_socket_directories')},
                'remove_data_directory_on_rewind_failure': True, 'remove_data_directory_on_diverged_timelines': True},
            'tags': {}}

    def start(self):
        for node in self.nodes:
            node.start_etcd()
        for node in self.nodes:
            node.start_patroni()
        wait_for('a first primary', self.primary, 90)
        self.await_whole()

    def primary(self):
        for node in self.nodes:
            if node.is_primary():
                return node
        return None

    def members(self):
        for node in self.nodes:
            status, body = ask(node.api + '/cluster')
            if status == 200:
                return json.loads(body)['members']
        return []

    def is_whole(self, synchronous=True):
        members = self.members()
        primary = self.primary()
        if primary is None or len(members) < 3:
            return None
        timelines = {member.get('timeline') for member in members}
        running = all(member.get('state') in ('running', 'streaming') for member in members)
        follow = not synchronous or any(member.get('role') == 'sync_standby' for member in members)
        return primary if running and follow and len(timelines) == 1 and timelines != {None} else None

    def await_whole(self, synchronous=True):
        """All three run, on one timeline, one of them as synchronous standby. One that does not follow is told so by hand, as an operator does."""
        for remedy in ('restart', 'reinitialize', None):
            try:
                return wait_for('three nodes', lambda: self.is_whole(synchronous), PATIENCE)
            except Trouble as trouble:
                if remedy is None:
                    raise Trouble('%s\n%s' % (trouble, json.dumps(self.members()))) from trouble
                self.help_those_behind(remedy)
        return None

    def help_those_behind(self, remedy):
        members = {member['name']: member for member in self.members()}
        primary = self.primary()
        newest = max((member.get('timeline') or 0 for member in members.values()), default=0)
        for node in self.nodes:
            member = members.get(node.name, {})
            if node is not primary and (member.get('state') not in ('running', 'streaming') or member.get('timeline') != newest):
                self.helped.append('%s %s' % (remedy, node.name))
                print('  %s does not follow (%s): Patroni is asked to %s it' % (node.name, json.dumps(member), remedy), flush=True)
                ask(node.api + '/' + remedy, {'force': True} if remedy == 'reinitialize' else {}, timeout=60)

    def change_settings(self, settings):
        wait_for('Patroni takes new settings',
                 lambda: any(ask(node.api + '/config', settings, 'PATCH')[0] == 200 for node in self.nodes), 20)

    def connection(self, extra=''):
        """As docs/ha.md says it."""
        return ('host=%s port=%d user=postgres dbname=postgres target_session_attrs=read-write connect_timeout=2 '
                'keepalives_idle=2 keepalives_interval=1 keepalives_count=3 tcp_user_timeout=3000 %s'
                % (','.join(node.address for node in self.nodes), POSTGRES_PORT, extra))

    def connection_to(self, node):
        return 'host=%s port=%d user=postgres dbname=postgres connect_timeout=2 tcp_user_timeout=3000' % (node.address, POSTGRES_PORT)

    def logs(self):
        """The last lines of Patroni and PostgreSQL, to see why nothing happens."""
        lines = []
        for node in self.nodes:
            for name in ('patroni.log', 'log/postgres.log'):
                try:
                    with open(os.path.join(node.folder, name), encoding='utf-8', errors='replace') as file:
                        lines += ['%s %s: %s' % (node.name, name, line[:200].rstrip()) for line in file.readlines()[-8:]]
                except OSError:
                    lines.append('%s has no %s' % (node.name, name))
        return lines

    def end(self):
        for node in self.nodes:
            pids = node.all_processes()
            send(pids, signal.SIGCONT)
            send(pids, signal.SIGKILL)
        for node in self.nodes:
            send(node.postgres(), signal.SIGKILL)
        self.network.end()
