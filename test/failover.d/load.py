"""What goes on while nodes die: clients who start instances, send messages, fetch work and call back, and who remember what they were told."""

import os
import random
import socket
import threading
import time
import uuid

import psycopg2
import psycopg2.errors

PATIENCE = 8  # seconds, until a client closes a connection that does not answer

SETUP = """
CREATE EXTENSION workflow;
CREATE SERVER partner FOREIGN DATA WRAPPER workflow_http OPTIONS (url '{url}', allow_private 'true', max_in_flight '64', breaker 'off',
    retry_max '1000', retry_delay '200 ms', timeout '5 s');
CREATE SERVER silent FOREIGN DATA WRAPPER workflow_http OPTIONS (url '{url}', allow_private 'true', breaker 'off', timeout '1 d');
CREATE TABLE effect (n bigint, step text, sn text);
CREATE TABLE trips (n bigint PRIMARY KEY, state text);
SELECT workflow.define('trip', '{{"steps": [
    {{"step": "charge", "http": {{"server": "partner", "path": "/accept?after=0.2", "body": {{"sn": "${{$serial_number}}", "n": "${{$.n}}"}}}}, "wait": true,
      "save": {{"receipt": "${{$result.response.receipt}}"}}}},
    {{"step": "book", "sql": "INSERT INTO effect VALUES ((visit.data->>''n'')::bigint, ''book'', visit.serial_number)"}},
    {{"step": "pay", "wait": {{"message": "paid", "key": "${{$.n}}"}}, "save": {{"paid": "${{$event.data}}"}}}},
    {{"step": "ship", "http": {{"server": "partner", "path": "/echo", "body": {{"sn": "${{$serial_number}}", "n": "${{$.n}}"}}}}, "keep_reply": false}},
    {{"step": "pack", "wait": {{"topic": "pack", "data": {{"n": "${{$.n}}"}}}}}},
    {{"step": "rest", "wait": {{"after": "500 ms"}}}},
    {{"step": "confirm", "wait": true, "save": {{"by": "${{$result.response.token}}"}}}},
    {{"step": "note", "sql": "INSERT INTO effect VALUES ((visit.data->>''n'')::bigint, ''note'', visit.serial_number)"}}]}}');
SELECT workflow.define('hang', '{{"steps": [
    {{"step": "hang", "http": {{"server": "silent", "path": "/hang", "body": {{"sn": "${{$serial_number}}", "n": "${{$.n}}"}}}}}}]}}');
SELECT workflow.attach('trips', 'trip', status_column => 'state');
"""


class Ledger:
    """What clients were told, and when they were served."""

    def __init__(self):
        self.lock = threading.Lock()
        self.started = {}  # n => instance, or None: it is not known yet
        self.sent = {}  # n => what became of its message
        self.confirmed = {}  # serial number => (n, token)
        self.undone = []  # serial numbers that a view has shown, and no server knows any more
        self.packed = {}  # n => serial number
        self.seen = {}  # serial number => n
        self.served = {}  # client => times at which it was served
        self.errors = {}  # text of an error => how often
        self.last = 0

    def next_number(self):
        with self.lock:
            self.last += 1
            return self.last

    def see(self, serial, n):
        """Nobody ever gets a serial number that somebody else had."""
        with self.lock:
            return self.seen.setdefault(serial, n) == n


class Client(threading.Thread):
    """One connection, which goes to whoever is the primary; `work` does one thing, and says whether there was any."""

    pause = 0.02

    def __init__(self, load, number):
        super().__init__(daemon=True)
        self.load, self.ledger = load, load.ledger
        self.label = '%s %d' % (type(self).__name__, number)
        self.connection = None
        self.busy_since = None
        self.fd = None
        self.ledger.served[self.label] = []

    def run(self):
        while not self.load.stop.is_set():
            try:
                self.busy_since = time.time()
                if self.connection is None:
                    self.connection = psycopg2.connect(self.load.connection)
                    self.connection.autocommit = True
                    self.fd = self.connection.fileno()
                did = self.work()
                self.busy_since = None
                self.ledger.served[self.label].append(time.time())
                if not did:
                    time.sleep(self.pause * 5)
                time.sleep(self.pause)
            except psycopg2.Error as error:
                self.failed(error)

    def failed(self, error):
        self.busy_since = None
        text = (type(error).__name__ + ': ' + str(error)).split('\n')[0][:100]
        with self.ledger.lock:
            self.ledger.errors[text] = self.ledger.errors.get(text, 0) + 1
        self.fd = None
        if self.connection is not None:
            try:
                self.connection.close()
            except psycopg2.Error:
                pass
        self.connection = None
        time.sleep(0.1)

    def ask(self, sql, *values):
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall() if cursor.description else []

    def drop_if_late(self):
        """A server that is frozen answers nothing, and its kernel says that all is well."""
        since, fd = self.busy_since, self.fd
        if since is not None and fd is not None and time.time() - since > PATIENCE:
            try:
                with socket.socket(fileno=os.dup(fd)) as copy:
                    copy.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Starter(Client):
    """Starts an instance under a business key, by a row or by a call; until it knows that it has, it asks and tries again."""

    n = None

    def work(self):
        if self.n is not None:  # the connection was lost: did it commit?
            found = self.ask("SELECT instance FROM workflow.instances WHERE process = 'trip' AND business_key = %s", str(self.n))
            if found:
                self.told(found[0][0])
        if self.n is None:
            if self.load.closing.is_set():
                return False
            self.n = self.ledger.next_number()
        if self.n % 2:
            self.ask('INSERT INTO trips (n) VALUES (%s)', self.n)
            self.told(None)
        else:
            self.told(self.ask("SELECT workflow.start('trip', jsonb_build_object('n', %s), business_key => %s::text)", self.n, self.n)[0][0])
        time.sleep(self.load.interval * random.uniform(0.5, 1.5))
        return True

    def told(self, instance):
        self.ledger.started[self.n] = instance
        self.load.to_pay.append(self.n)
        self.n = None


class Payer(Client):
    """Sends each the message that it waits for, or will wait for; again under the same message_id, if it is not known whether it came."""

    n = None

    def work(self):
        if self.n is None:
            if not self.load.to_pay:
                return False
            self.n = self.load.to_pay.pop(0)
        answer = self.ask("SELECT workflow.send_message('paid', key => %s::text, data => to_jsonb(%s), ttl => '1 hour', message_id => %s)",
                          self.n, self.n, 'paid %d' % self.n)[0][0]
        self.ledger.sent[self.n] = answer
        self.n = None
        return True


class Packer(Client):
    """Fetches work, and does it in the transaction that ends it."""

    def work(self):
        self.ask('BEGIN')
        found = self.ask("SELECT serial_number, (data->>'n')::bigint, lock_token FROM workflow.fetch('pack', 5, '20 s', worker => %s)", self.label)
        for serial, n, lock_token in found:
            if self.ask('SELECT workflow.complete(%s, %s::jsonb, %s)', serial, '{}', lock_token)[0][0]:
                self.ask("INSERT INTO effect VALUES (%s, 'pack', %s)", n, serial)
        self.ask('COMMIT')
        for serial, n, _ in found:
            self.ledger.packed[n] = serial
        return bool(found)


class Confirmer(Client):
    """Calls back, again with the same token as long as it was not told."""

    def __init__(self, load, number):
        super().__init__(load, number)
        self.due = {}

    def work(self):
        for serial, n in self.ask("SELECT w.serial_number, i.business_key::bigint FROM workflow.waiting w JOIN workflow.instances i USING (instance) "
                                  "WHERE w.process = 'trip' AND w.step = 'confirm' AND i.business_key::bigint %% %s = %s LIMIT 50",
                                  self.load.confirmers, int(self.label.split()[1])):
            if serial not in self.due and serial not in self.ledger.confirmed:
                self.due[serial] = (n, str(uuid.uuid4()))
        for serial, (n, token) in list(self.due.items()):
            try:
                # false: the call before, of which nothing was heard, counts; the audit sees whose token is in the data
                self.ask('SELECT workflow.complete(%s, jsonb_build_object(%s, %s))', serial, 'token', token)
                self.ledger.confirmed[serial] = (n, token)
            except psycopg2.errors.UndefinedObject:
                # a view of the old primary has shown it, and what led to it was done again under another number
                self.ledger.undone.append(serial)
            del self.due[serial]
            self.ledger.served[self.label].append(time.time())
        return bool(self.due)


class Load:
    def __init__(self, connection, ledger, interval):
        self.connection, self.ledger, self.interval = connection, ledger, interval
        self.closing, self.stop = threading.Event(), threading.Event()
        self.to_pay = []
        self.confirmers = 2
        self.starters = [Starter(self, i) for i in range(3)]
        self.others = [Payer(self, 0), Packer(self, 0), Packer(self, 1)] + [Confirmer(self, i) for i in range(self.confirmers)]
        for client in self.starters + self.others:
            client.start()
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        while not self.stop.is_set():
            time.sleep(0.2)
            for client in self.starters + self.others:
                client.drop_if_late()

    def is_done(self):
        """All that was begun has been told, and has ended."""
        return not self.to_pay and all(starter.n is None for starter in self.starters)

    def gap(self, since, until):
        """For how long a client was served nothing around that time: the longest, and the median of all clients."""
        gaps = []
        for times in list(self.ledger.served.values()):
            before = [t for t in times if t <= since]
            after = [t for t in times if since < t <= until]
            points = before[-1:] + after
            gaps.append(max((b - a for a, b in zip(points, points[1:])), default=until - since))
        gaps.sort()
        return gaps[-1], gaps[len(gaps) // 2]

