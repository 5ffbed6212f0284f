#
# HTTPS and HTTP/2, with certificates of our own: whom a server trusts, and that many requests share a connection.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Certificates;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Scene;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my ($nginx, $openssl) = map { Certificates::program($_) } 'nginx', 'openssl';
plan skip_all => 'nginx and openssl are not there' unless $nginx && $openssl;
plan skip_all => 'this nginx has no HTTP/2' unless `$nginx -V 2>&1` =~ /http_v2_module/ && `$nginx -V 2>&1` =~ /http_ssl_module/;

# ---- certificates and nginx ----

my $certificates = Certificates->new;
my $dir = $certificates->dir;
my @ports = map { PostgreSQL::Test::Cluster::get_free_port() } 1 .. 4;

$certificates->authority('ca');
$certificates->authority('other');
$certificates->certificate('good', 'ca', 'DNS:localhost,IP:127.0.0.1');
$certificates->certificate('elsewhere', 'ca', 'DNS:elsewhere.example');

my $answer = 'default_type application/json; return 200 \'{"protocol": "$server_protocol", "connection": "$connection", "host": "$host", "status": "SUCCESS"}\';';
mkdir "$dir/logs";
append_to_file("$dir/nginx.conf", <<"EOC");
pid $dir/nginx.pid;
error_log $dir/error.log;
worker_processes 1;
daemon on;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path $dir/body;
    proxy_temp_path $dir/proxy;
    fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi;
    scgi_temp_path $dir/scgi;
    keepalive_requests 100000;
    server {
        listen 127.0.0.1:$ports[0] ssl http2;
        ssl_certificate $dir/good.crt;
        ssl_certificate_key $dir/good.key;
        location / { $answer }
        location /large { default_type text/plain; alias $dir/large; }
        location /error { return 503; }
    }
    server {
        listen 127.0.0.1:$ports[1] ssl;
        ssl_certificate $dir/good.crt;
        ssl_certificate_key $dir/good.key;
        location / { $answer }
    }
    server {
        listen 127.0.0.1:$ports[2] ssl http2;
        ssl_certificate $dir/elsewhere.crt;
        ssl_certificate_key $dir/elsewhere.key;
        location / { $answer }
    }
    server {
        listen 127.0.0.1:$ports[3];
        location / { $answer }
    }
}
EOC
append_to_file("$dir/large", 'l' x 3_000_000);

sub start_nginx
{
	system("$nginx -p $dir -c $dir/nginx.conf >>$dir/nginx.log 2>&1") == 0 or die 'nginx: ' . slurp_file("$dir/nginx.log");
	my $end = time() + 30;
	until (IO::Socket::INET->new("127.0.0.1:$ports[2]"))
	{
		die "nginx does not listen\n" if time() > $end;
		sleep 0.02;
	}
}

sub stop_nginx
{
	my $file = "$dir/nginx.pid";
	my ($pid) = -e $file ? slurp_file($file) =~ /(\d+)/ : ();
	return unless $pid;
	my $status = $?;
	kill 'TERM', $pid;
	my $end = time() + 30;
	sleep 0.02 while -d "/proc/$pid" && time() < $end;
	$? = $status;
}
END { stop_nginx() if defined $dir }

start_nginx();
my $scene = Scene->new('tls');

sub ask
{
	my ($server, $url, $options, $path) = @_;
	$scene->server($server, $url, $options);
	$path //= '/ok';
	$scene->define($server, qq({"steps": [{"step": "ask", "http": {"server": "$server", "path": "$path", "body": {"a": 1}}, "save": {"reply": "\${\$reply}", "answer": "\${\$reply.body}"}}]}));
	my ($instance, $status) = $scene->run($server);
	return ($status, $scene->data($instance), $scene->incident($instance));
}

# ---- whom to trust ----

my ($status, $data, $incident) = ask('trusting', "https://127.0.0.1:$ports[0]", "ca '$dir/ca.crt'");
is($status, 'completed', 'a certificate of an authority that the server names') or note(explain($incident));
is($data->{answer}{protocol}, 'HTTP/2.0', 'is spoken to by HTTP/2');
($status, $data) = ask('by_name', "https://localhost:$ports[0]", "ca '$dir/ca.crt'");
is($status, 'completed', 'by name too');
is($data->{answer}{host}, 'localhost', 'which is told');
($status, $data) = ask('old', "https://127.0.0.1:$ports[1]", "ca '$dir/ca.crt'");
is($data->{answer}{protocol}, 'HTTP/1.1', 'who knows no HTTP/2 is spoken to by HTTP/1.1');

sub is_untrusted
{
	my ($name, @ask) = @_;
	my ($status, undef, $incident) = ask(@ask);
	is($status, 'failed', "$name: no answer");
	is($incident->{error}{code}, 'connect', "$name: no connection");
	like($incident->{error}{message}, qr/SSL|certificate|trust/i, "$name: a reason") or note($incident->{error}{message});
}
is_untrusted('without an authority', 'unknown', "https://127.0.0.1:$ports[0]");
is_untrusted('another authority', 'other', "https://127.0.0.1:$ports[0]", "ca '$dir/other.crt'");
is_untrusted('a certificate of somebody else', 'elsewhere', "https://127.0.0.1:$ports[2]", "ca '$dir/ca.crt'");
is_untrusted('a file that is not there', 'no_file', "https://127.0.0.1:$ports[0]", "ca '$dir/nothing.crt'");
($status) = ask('unverified', "https://127.0.0.1:$ports[2]", "verify 'false'");
is($status, 'completed', 'with verify false anybody is trusted');
is_untrusted('a connection that somebody else did not verify', 'strict', "https://127.0.0.1:$ports[2]");
($status) = ask('plain', "http://127.0.0.1:$ports[0]");
is($status, 'failed', 'HTTP to an HTTPS port is no success');
(undef, undef, $incident) = ask('not_tls', 'https://127.0.0.1:' . $scene->partner->port, "ca '$dir/ca.crt', connect_timeout '300 ms'");
is($incident->{error}{code}, 'connect', 'HTTPS to an HTTP port is no connection');
(undef, undef, $incident) = ask('no_tls', "https://127.0.0.1:$ports[3]", "ca '$dir/ca.crt'");
like($incident->{error}{message}, qr{; perhaps the service speaks HTTP without TLS at that port, and the url has to begin with http://$}, '... and where something answers, it is told why') or note($incident->{error}{message});
# as most that speak TLS do with what is none
my $listener = IO::Socket::INET->new(Listen => 8, LocalAddr => '127.0.0.1') or die "listen: $!";
my $pid = fork() // die "fork: $!";
if (!$pid)
{
	while (my $socket = $listener->accept) { sysread($socket, my $byte, 1); close($socket) }
	POSIX::_exit(0);
}
(undef, undef, $incident) = ask('no_http', 'http://127.0.0.1:' . $listener->sockport);
kill 'KILL', $pid;
waitpid($pid, 0);
like($incident->{error}{message}, qr{; perhaps the service speaks TLS at that port, and the url has to begin with https://$}, 'HTTP to who hangs up at once') or note($incident->{error}{message});

# ---- a trusted authority that changes ----

$scene->sql("ALTER SERVER other OPTIONS (SET ca '$dir/ca.crt')");
my ($instance);
($instance, $status) = $scene->run('other');
is($status, 'completed', 'an authority that was corrected counts from the next request on');
$scene->sql("ALTER SERVER other OPTIONS (SET ca '$dir/other.crt')");
($instance, $status) = $scene->run('other');
is($status, 'failed', 'one that is no longer trusted too, whatever connection is still open');

# ---- sharing a connection ----

$scene->sql("ALTER SERVER trusting OPTIONS (ADD max_in_flight '120')");
my @many = split /\n/, $scene->sql("SELECT workflow.start('trusting') FROM generate_series(1, 300)");
is_soon($scene->node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE instance >= $many[0] AND status = 'completed'", 300, 'three hundred requests by HTTP/2');
my $connections = $scene->sql("SELECT count(DISTINCT data->'answer'->>'connection') FROM workflow.instances WHERE instance >= $many[0]");
ok($connections <= 3, "share few connections: $connections");

# ---- answers ----

($status, undef, $incident) = ask('large', "https://127.0.0.1:$ports[0]", "ca '$dir/ca.crt'", '/large');
is($incident->{error}{http_status}, 405, 'a refusal by HTTP/2');
$scene->define('large', '{"steps": [{"step": "ask", "http": {"server": "large", "path": "/large"}, "save": {"length": "${$reply.headers.\"content-length\"}", "body": "${$reply.body}"}}]}');
($instance, $status) = $scene->run('large');
is($status, 'completed', 'three megabytes by HTTP/2');
is(length($scene->data($instance)->{body}), 3_000_000, 'all of them');
$scene->sql("ALTER SERVER large OPTIONS (ADD max_response '1MB')");
($instance, $status) = $scene->run('large');
is($scene->incident($instance)->{error}{code}, 'reply', 'more than is allowed');
(undef, undef, $incident) = ask('unavailable', "https://127.0.0.1:$ports[0]", "ca '$dir/ca.crt'", '/error');
is($incident->{error}{http_status}, 503, 'an error by HTTP/2');

# ---- a file with authorities that is written anew ----

append_to_file("$dir/turn.crt", slurp_file("$dir/other.crt"));
is_untrusted('another authority in a file', 'turn', "https://127.0.0.1:$ports[0]", "ca '$dir/turn.crt'");
$scene->define('turned', '{"steps": [{"step": "ask", "http": {"server": "turn", "path": "/ok"}, "retry": {"max": 100, "delay": "500 ms"}}]}');
$instance = $scene->start('turned');
$scene->wait_for_state($instance, 'retrying');
append_to_file("$dir/turn.new", slurp_file("$dir/ca.crt"));
rename("$dir/turn.new", "$dir/turn.crt");
is($scene->finish($instance), 'completed', 'the right one is put there, and counts soon');

# ---- a server that goes away and comes back ----

$scene->define('patient', '{"steps": [{"step": "ask", "http": {"server": "trusting", "path": "/ok"}, "retry": {"max": 100, "delay": "100 ms"}}]}');
stop_nginx();
$instance = $scene->start('patient');
$scene->wait_for_state($instance, 'retrying');
start_nginx();
is($scene->finish($instance), 'completed', 'a connection that was lost is made again');

$scene->node->stop;
done_testing();
