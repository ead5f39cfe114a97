# Ends a test server and removes its directory: arguments are the directory and the process that
# runs the tests. Each test process that uses the server holds a shared lock on the file `users`.
cd "$1" || exit 0
exec 9>>users
unused=0
while kill -0 "$2"; do
    sleep 0.5
    if flock -n 9; then
        # After 10 s the lock is kept: nobody begins to use what is being removed.
        [ "$unused" -lt 20 ] || break
        unused=$((unused + 1))
        flock -u 9
    else
        unused=0
    fi
done
# The directory may be another run's by now.
[ "$1/users" -ef /dev/fd/9 ] || exit 0
if read -r server <data/postmaster.pid; then
    kill -QUIT "$server"
    # A process that has ended still answers while the test that started it hangs.
    while kill -0 "$server" && [ -e data/postmaster.pid ]; do sleep 0.1; done
fi
cd / && rm -rf "$1"
