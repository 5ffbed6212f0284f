#
# Certificates.pm
#		Certificates of our own, in a directory that goes with the test.
#
#   my $openssl = Certificates::program('openssl')      where a program is; undef: it is not there
#   my $certificates = Certificates->new
#   $certificates->authority('ca')                       ca.crt and ca.key
#   $certificates->certificate('good', 'ca', 'DNS:localhost,IP:127.0.0.1')
#   $certificates->openssl('rsa …')                      any other command of openssl, in that directory
#   $certificates->dir
#
package Certificates;

use strict;
use warnings;

use PostgreSQL::Test::Utils;

sub program
{
	my ($name) = @_;
	return (grep { -x $_ } map { "$_/$name" } split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin')[0];
}

sub new
{
	my ($class) = @_;
	return bless { dir => PostgreSQL::Test::Utils::tempdir(), program => program('openssl') }, $class;
}

sub dir { $_[0]{dir} }

sub openssl
{
	my ($self, @command) = @_;
	my $log = "$self->{dir}/openssl.log";
	system("cd $self->{dir} && $self->{program} @command >>$log 2>&1") == 0 or die "openssl @command: " . slurp_file($log);
	return;
}

sub authority
{
	my ($self, $name) = @_;
	$self->openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=$name of the tests' -keyout $name.key -out $name.crt");
	return;
}

# A certificate for names, by an authority
sub certificate
{
	my ($self, $name, $authority, $names) = @_;
	append_to_file("$self->{dir}/$name.ext", "subjectAltName=$names\n");
	$self->openssl("req -newkey rsa:2048 -nodes -subj '/CN=$name' -keyout $name.key -out $name.csr");
	$self->openssl("x509 -req -days 2 -in $name.csr -CA $authority.crt -CAkey $authority.key -CAcreateserial -extfile $name.ext -out $name.crt");
	return;
}

1;
