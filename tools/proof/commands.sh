# The commands of the busybox proof (tools/busybox.main.ts), a paragraph each. Each runs by `busybox sh -c` in a fresh folder
# with the tree of files that the proof makes, as tree/ and as tree.tar.

# What applets do with files.

ls -lR tree | sed -e 's/^\(d[^ ]* *[0-9]*  *[^ ]*  *[^ ]*\)  *[0-9]*/\1 SIZE/' -e 's/ [A-Z][a-z][a-z]  *[0-9]*  *[0-9:]* / TIME /' -e '/^total/d'

find tree | sort

find tree -type f -name '*.txt' | sort

find tree -type d | sort

find tree -type l | sort

find tree -size +2k -type f | sort

find tree -name '*.txt' -exec wc -c {} \; | sort

tar tf tree.tar | sort

mkdir -p out && tar xf tree.tar -C out && find out/tree -type f | sort | xargs cat | md5sum

tar cf - tree | tar tf - | sort | head -20

cd tree && tar cf ../new.tar . && cd .. && mkdir -p n && tar xf new.tar -C n && find n | sort | md5sum

cat tree/words.txt | tr a-z A-Z | sort | uniq -c | sort -rn | head -20

sed -n '5,10p' tree/words.txt

sed -e 's/\([a-z]*\) \([a-z]*\)/\2 \1/' tree/words.txt | head

sed '/^a/d;s/e/E/g;$!N;P;D' tree/words.txt | head -30

awk '{ n[length($1)]++ } END { for (i = 1; i < 12; i++) print i, n[i] + 0 }' tree/words.txt

awk -F: '{ s += $3; print $1, s } END { printf "%.3f %e\n", s / NR, s }' tree/table

awk 'BEGIN { for (i = 0; i < 20; i++) print i, i * i, sqrt(i), sin(i), exp(i / 10), int(log(i + 1) * 1000) }'

awk '{ $2 = toupper($2); print }' OFS=- tree/words.txt | head

sort -t: -k3n tree/table

sort -r tree/words.txt | head -5

sort -u tree/words.txt | wc -l

grep -c e tree/words.txt; grep -n '^b' tree/words.txt | head; grep -v o tree/words.txt | wc -l; grep -rl needle tree | sort

grep -E '(ab|cd)+e?$' tree/words.txt | head

cut -d: -f1,3 tree/table

cut -c2-5 tree/words.txt | head

od -A x -t x1z tree/binary | head -20

od -c tree/binary | head

hexdump -C tree/binary | tail -5

md5sum tree/binary tree/words.txt; sha256sum tree/binary; cksum tree/words.txt; sha1sum tree/table

gzip -c tree/words.txt | gunzip | cmp - tree/words.txt && echo same

bzip2 -c tree/binary | bunzip2 | md5sum

printf '%5d|%-8s|%x|%o|%c|%s\n' 42 left 255 8 x end

expr 6 \* 7; expr length hello; expr abc : 'a\(.\)'; seq 1 3 20; seq -s, 5

echo one two three | xargs -n1 echo item

diff tree/words.txt tree/other.txt | head -20

cmp tree/words.txt tree/other.txt

head -c 100 tree/binary | base64

i=0; while [ $i -lt 5 ]; do echo $i; i=$((i + 1)); done | tac

for f in tree/*.txt; do basename $f .txt; dirname $f; done

x='a b  c'; set -- $x; echo $# "$x"; echo ${x#a } ${x%c} ${#x}

(echo sub; exit 3); echo $?; true && false || echo or; ! true; echo $?

cat <<EOF | wc -l
a
b
$((2 + 3))
EOF

f() { echo f$1; return 4; }; f 1; echo $?; trap 'echo trapped' EXIT; :

dd if=tree/binary bs=100 skip=3 count=5 2>/dev/null | md5sum

tail -n 3 tree/words.txt; tail -c 20 tree/words.txt; head -n -30 tree/words.txt | wc -l

stat -c '%n %s %a %F' tree/words.txt tree/link tree/sub

cp -a tree copy && find copy | wc -l && rm -r copy && ls copy

mkdir a b; touch a/x; mv a/x b/y; ln b/y b/z; ls b; rmdir a; rm -r b; ls -d a b

chmod 640 tree/table; stat -c %a tree/table; chmod u+x,g-r tree/table; stat -c %a tree/table; chmod 644 tree/table

yes | head -n 1000 | wc

nl tree/words.txt | head -5; paste -d, tree/words.txt tree/other.txt | head -5; fold -w 10 tree/words.txt | head -5; rev tree/words.txt | head -3

comm -12 tree/words.txt tree/other.txt | head -5

cat nonexistent; echo $?

ls nonexistent; echo $?

kill -l | head -3

sleep 0.01; echo slept

dc -e '2 64 ^ p'; echo 'scale=20; 4*a(1)' | bc -l

factor 1234567890 97

vi -h 2>&1 | head -1

date -u -d @86400 '+%Y-%m-%d %H:%M:%S'

# What the shell starts: pipelines, jobs, descriptors, signals, programs that start programs.

cat tree/words.txt | grep e | sed 's/ /:/' | awk -F: '{ print $2, $1 }' | sort | uniq | wc

seq 1 5000 | sort -n | tail -1; seq 1 2000 | tac | head -3; seq 1 3000 | md5sum

set -o pipefail; false | true; echo $?; (exit 5) | cat; echo $?; ! false | true; echo $?

for i in 1 2 3; do echo $i; done | while read x; do echo got $x; done | { read a; echo first $a; cat; }

sleep 0.05 & p=$!; wait $p; echo $?; sleep 5 & kill $!; wait $! 2>/dev/null; echo $?; (exit 7) & wait $!; echo $?

{ echo out; echo err >&2; } 2>&1 >/dev/null | sed 's/^/saw /'

exec 3>file; echo three >&3; exec 3>&-; cat file; exec 4<tree/words.txt; read a b <&4; read c d <&4; echo $a $d

trap 'echo usr1' USR1; kill -USR1 $$; echo after; sh -c 'trap "echo int; exit 9" INT; kill -INT $$; echo not here'; echo $?

x=$(cat tree/table | while IFS=: read u p n rest; do echo $((n % 7)); done | sort | uniq -c | sort -rn | head -3); echo "$x"

yes line | head -n 5000 | tee copy | wc -l; wc -c < copy; yes | head -c 200000 | md5sum

mkfifo pipe; (cat tree/words.txt > pipe &); wc -l < pipe; ls -l pipe | cut -c1-10

cat tree/words.txt tree/table tree/binary | gzip | tee z.gz | gunzip | md5sum; gunzip -c z.gz | wc -c

set -e; true; false; echo never

case $(ls tree | wc -l) in [0-9]) echo one;; *) echo many;; esac; echo ${nothing:=set} $nothing; echo $((1 << 40)) $((-7 / 2)) $((0x1f ^ 3))

sh -c 'sh -c "echo \$0 \$1" deep "a  b"; exit 4'; echo $?; sh -c 'kill -9 $$'; echo $?; env -i A=1 $(which sh) -c 'echo $A'

time -p true 2>&1 | cut -d' ' -f1; nice -n 3 true; echo $?; timeout 0.05 sleep 5; echo $?

find tree -type f -print0 | xargs -0 md5sum | sort -k2

find tree -name '*.txt' -exec grep -l needle {} + | sort

find tree -path '*deeper*' -prune -o -type f -print | sort; find tree -type f -perm 644 -links +1 | sort; find tree -empty

find tree -maxdepth 1 -type f -exec sh -c 'echo "$1 $(wc -c < "$1")"' _ {} \; | sort; find . -name tree.tar -exec rm {} \; ; ls

tar tvf tree.tar | awk '{ print $1, $2, $6 }' | grep -v '^d'; tar xOf tree.tar tree/table | md5sum

tar czf t.tgz tree && tar tzf t.tgz | wc -l; mkdir o; tar xzf t.tgz -C o tree/sub; find o | sort; tar cjf - tree/binary | tar tjf -

tar cf - --exclude '*.txt' tree | tar tf - | sort; (cd tree && tar cf - .) | (mkdir d2; cd d2; tar xf -; find . -type f | wc -l; readlink link)

tar xf tree.tar tree/nowhere; echo $?; head -c 3000 tree.tar | tar tf - ; echo $?

sed -n 'H;${x;s/\n/,/g;p}' tree/table | cut -c1-60; sed 'y/abc/xyz/;3q' tree/words.txt; sed -n '/needle/=' tree/sub/deeper/*.txt

cp tree/words.txt w; sed -i.bak -e '1,/e/d' -e 's/\(.\)\1/<&>/g' w; md5sum w w.bak; sed -n '2~50w odd' w; wc -l odd

printf '1234567890\n12\n' | sed -E ':a;s/^([0-9]+)([0-9]{3})/\1,\2/;ta'

sed '$!d' tree/words.txt; sed -e '5i before' -e '5a after' -e '6c changed' tree/words.txt | sed -n '4,9p'

awk 'BEGIN { while (("cat tree/table" | getline line) > 0) n++; close("cat tree/table"); print n; "echo sub" | getline x; print x; r = system("exit 3"); print r }'

awk '{ a[$1] = a[$1] " " NR } END { for (k in a) print k a[k] | "sort | head -5"; close("sort | head -5"); print "end" }' tree/words.txt

awk 'function f(n) { return n < 2 ? n : f(n - 1) + f(n - 2) } BEGIN { print f(18); s = "hello world"; gsub(/o/, "0&", s); print s, substr(s, 3, 4), index(s, "w"), match(s, /w.*d/), RSTART, RLENGTH }'

awk 'BEGIN { n = split("c,a,b", p, ","); print n, p[1] p[3]; printf "%5.2f|%-6s|%05d|%x|%e|%c\n", 3.14159, "ab", 42, 255, 12345.678, 65; print length("abc"), toupper("x"), 7 % 3, 2 ^ 10, 1e6, 0.1 + 0.2, 1 / 3 }'

awk 'NR % 40 == 1, NR % 40 == 3 { print NR ": " $0 > "/dev/stderr" }' tree/words.txt 2>&1 | head; awk 'BEGIN { srand(1); x = rand(); srand(1); print x == rand(), srand() }'
