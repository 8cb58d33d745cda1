"""What Python's Jinja makes of single constructs, as Hugging Face's renderer sets it up: one JSON object a line.

Those that Python refuses have `null` for their text; ours must refuse them too.
"""

import json
import re

VARIABLES = {
    "s": " Hé <b>'x'</b>\n\tÜber  ß ",
    "w": "the quick brown-fox's tail",
    "n": 7,
    "f": 2.5,
    "big": 12345678901234567890,
    "l": [3, 1, 2],
    "t": ["b", "A", "c", "a"],
    "m": [1, "a", None, True, 1e16, {"k": [1.0]}, [], "it's", 'q"', "\n\u00e9\u200b\U0001f388\u00a0"],
    "d": {"b": 1, "a": {"x": None}, "items": "own", "C": [1]},
    "p": [{"g": 2, "v": "x", "o": {"k": 1}}, {"g": 1, "v": "y", "o": {"k": 2}}, {"g": 2, "v": "Z", "o": {}}],
    "e": "",
    "z": 0,
    "none_": None,
    "yes": True,
}

FILTERS = """
n|abs (-3)|abs (-2.5)|abs
l|batch(2)|list l|batch(2,'-')|list
w|capitalize s|capitalize 'ÉTÉ'|capitalize e|capitalize 'ǆa'|capitalize
'ab'|center(7)~'|' 'a'|center~'|' 'abc'|center(6)~'|'
missing|default('x') e|default('x') e|default('x',true) none_|default('x') none_|default('x',true) missing|d(1) missing|default z|default(5,boolean=true) missing.x|default(1) missing|default(default_value='k')
d|dictsort d|dictsort(true) d|dictsort(by='key') {'b':1,'a':2}|dictsort(by='value') {'b':1,'a':2}|dictsort(reverse=true) {'B':1,'a':2}|dictsort(case_sensitive=true) {'B':1,'a':2}|dictsort(false,'value')
s|escape '<a&"\\''|e 1|e
1024|filesizeformat 1000000|filesizeformat 1|filesizeformat 123456789|filesizeformat(true) 0|filesizeformat
l|first e|first []|first d|first 'abc'|first
'3.5'|float 'x'|float 'x'|float(1.5) n|float none_|float 'x'|float(default=2) '1e3'|float 'inf'|float ' 2 '|float
1|forceescape
'%s-%03d'|format('x',7) '%5.2f|%-5s|%x'|format(2.5,'ab',255) '%(a)s'|format(a=1) '%s'|format(none_) '%s'|format(true) '%s %s'|format('a') '%r'|format('a') '%d'|format(2.9) '%%'|format '%s'|format(l) '%5s|'|format('é')
p|groupby('g') p|groupby('g')|map(attribute='grouper')|list p|groupby('g')|map('first')|list p|groupby('missing',default=0)|length p|groupby('o.k',default=9)|map(attribute=0)|list p|groupby(attribute='v')|map('first')|list
'a\\nb'|indent 'a\\nb'|indent(2) 'a\\n\\nb'|indent(2,true) 'a\\n\\nb'|indent(2,false,true) 'a\\nb\\n'|indent(2) 'a\\r\\nb'|indent(1) 'a\\nb'|indent('>>') 'a\\nb'|indent(width=3,first=true) ''|indent(2,true) 'a\\nb'|indent(first=true,blank=true) 5|indent
'42'|int '42.9'|int 'x'|int 'x'|int(7) f|int '0x1F'|int(0,16) '1f'|int(base=16) none_|int true|int '-3'|int ' 4 '|int 'x'|int(default=3) '0b11'|int(0,2) (-2.9)|int '1_000'|int []|int '12345678901234567890123'|int
{'a':1}|items|list missing|items|list d|items|list
l|join l|join(',') l|join(d=', ') p|join('-',attribute='v') m|join('|') e|join(',') 'abc'|join('.') p|map(attribute='g')|join d|join(',') [none_,true,1.5]|join(' ') missing|join none_|join(',') [1,missing,2]|join('+') p|join(attribute='o.k',d=',')
l|last 'abc'|last []|last
l|length e|length d|length missing|length 'né'|length n|length none_|length l|count
l|list e|list 'abc'|list d|list missing|list none_|list range(3)|list d.values()|list
s|lower 'ÀÉ'|lower 'İ'|lower n|lower
l|map('string')|list t|map('upper')|list p|map(attribute='v')|list p|map(attribute='zz')|list p|map(attribute='zz',default='?')|list p|map(attribute='o.k',default=0)|list t|map('replace','a','b')|list [[1,2],[3]]|map('sum')|list [[1,2],[3,4]]|map(attribute=1)|list t|map|list
l|max l|min t|max t|min []|max p|max(attribute='g') t|max(case_sensitive=true) t|min(case_sensitive=true)
m|pprint d|pprint 'a'|pprint
l|reject('odd')|list p|rejectattr('v','equalto','x')|list [0,1,'',none_]|reject|list p|rejectattr('o')|list
w|replace('o','0') w|replace('o','0',1) 'aaa'|replace('a','b',2) 'aaa'|replace(old='a',new='c') n|replace('7','8') 'ab'|replace('','-') s|replace('<','&lt;')
l|reverse|list 'né'|reverse d|reverse|list
f|round 2.675|round(2) 2.5|round 3.5|round 2.1|round(0,'ceil') 2.9|round(method='floor') 1234.5|round(-2) n|round (-2.5)|round 2.55|round(1) 1e20|round 0.5|round 1.23456|round(precision=3) 7|round(1)
'<b>'|safe s|safe|upper
l|select('odd')|list l|select('greaterthan',1)|list p|selectattr('o')|list p|selectattr('g','eq',2)|map(attribute='v')|list p|selectattr('o.k','defined')|list|length t|select('in',['a','b'])|list [0,1,'',2]|select|list p|selectattr('v','in','xy')|list|length p|selectattr('g','gt',1)|list|length t|select('string')|list|length p|selectattr('zz')|list p|selectattr('zz','undefined')|list|length
l|slice(2)|list l|slice(2,'-')|list range(7)|slice(3)|list range(7)|slice(3,'x')|list
l|sort l|sort(true) t|sort t|sort(case_sensitive=true) p|sort(attribute='v')|map(attribute='v')|list p|sort(attribute='g,v')|map(attribute='v')|list p|sort(reverse=true,attribute='g')|map(attribute='v')|list 'hello'|sort m|sort d|sort [true,0,2]|sort
n|string l|string none_|string f|string missing|string s|string
'<p>a  <b>b</b> &lt;</p>'|striptags 'a <!-- x --> b'|striptags
l|sum p|sum(attribute='g') l|sum(start=10) []|sum [1,2.5]|sum p|sum(attribute='g',start=1) ['a']|sum
w|title s|title "it's a dog's_life (one) x-y"|title 'ÉTÉ été'|title n|title 'a1b c'|title 'foo[bar]{baz}<q>'|title 'a"b'|title
s|trim 'xxaxx'|trim('x') n|trim e|trim 'xxa'|trim(chars='x') '\\u00a0a\\u200b\\x1f'|trim
w|truncate(9) w|truncate(9,true) w|truncate(9,true,'') w|truncate(30) w|truncate(12,false,'..',0) w|truncate(5,end='')
t|unique|list [1,1.0,true,2]|unique|list ['a','A']|unique(true)|list p|unique(attribute='g')|map(attribute='v')|list [3,1,3]|unique|list 'abca'|unique|list
w|upper 'ß'|upper 'ŉ'|upper n|upper
'a b&c/é'|urlencode {'a':1,'b':'x y'}|urlencode [('a',1)]|urlencode
'see http://x.y'|urlize
w|wordcount s|wordcount
w|wordwrap(10) w|wordwrap(5) w|wordwrap(5,false) 'a\\n\\nb c'|wordwrap(1) w|wordwrap(10,wrapstring='|') 'one-two three'|wordwrap(5,break_on_hyphens=false)
{'a':1,'b':none_,'c':'<x>'}|xmlattr
d|tojson m|tojson m|tojson(indent=2) d|tojson(indent=4) d|tojson(sort_keys=true) d|tojson(separators=(',',':')) d|tojson(ensure_ascii=true) m|tojson(true) m|tojson(ensure_ascii=True) {}|tojson(indent=2) []|tojson(indent=1) [[]]|tojson(indent=1) d|tojson(indent=0) d|tojson(indent='--') d|tojson(2) missing|tojson 'a/b<>&\\'"\\x7f\\x01\\u2028'|tojson 1.0|tojson 1e22|tojson 1e-7|tojson true|tojson none_|tojson {1:2,none:3,true:4,1.5:5}|tojson (1,2)|tojson range(3)|tojson d.items()|tojson d.keys()|tojson l|map('string')|tojson l|tojson(indent=2,separators=(',',': ')) big|tojson 'é🎈'|tojson(ensure_ascii=true) {'b':{'d':1,'c':2},'a':0}|tojson(sort_keys=true,indent=1) namespace(a=1)|tojson raise_exception|tojson {'a':missing}|tojson d|tojson(indent=none) d|tojson(indent=true) d|tojson(bogus=1) s|safe|tojson s|e|tojson (l|sort)|tojson p|groupby('g')|tojson t|unique|tojson t|reverse|tojson l|batch(2)|tojson d|dictsort|tojson p|selectattr('g')|tojson
d|attr('a') 'a'|attr('upper') d|attr('items') s|attr('__class__')
"""

TESTS = """
n is boolean,yes is boolean,z is boolean,n is callable,range is callable,raise_exception is callable,missing is defined,n is defined,d.zz is defined,none_ is defined
n is divisibleby 7,n is divisibleby(2),n is eq 7,n is equalto 7.0,n == 7.0,'a' is eq 'a',s is escaped,n is even,n is odd,2 is even,yes is false,false is false,z is false
'upper' is filter,'nope' is filter,f is float,n is float,n is ge 7,n is gt 7,n is greaterthan 3,n is in [7],'a' is in 'abc','x' in d,'b' in d,'b' not in d,7 in l,missing in l
n is integer,yes is integer,f is integer,n is iterable,s is iterable,d is iterable,l is iterable,none_ is iterable,missing is iterable,range(2) is iterable,d.items() is iterable
n is le 7,n is lt 7,n is lessthan 8,'abc' is lower,'aBc' is lower,'123' is lower,'é' is lower,d is mapping,l is mapping,none_ is mapping,s is mapping,n is ne 7
none_ is none,missing is none,z is none,n is not none,n is number,f is number,yes is number,s is number,none_ is sameas none,n is sameas 7,true is sameas true,1 is sameas true,d is sameas d
l is sequence,s is sequence,d is sequence,n is sequence,none_ is sequence,missing is sequence,(1,2) is sequence,range(2) is sequence,s is string,n is string,(s|safe) is string
'eq' is test,'nope' is test,yes is true,1 is true,'A' is upper,'a' is upper,'É1' is upper,missing is undefined,none_ is undefined,d.b is undefined
not missing,not e,not z,not none_,not [],not {},not 0.0,not range(0),not ' ',not (),not 'False'
1 < 2 < 3,1 < 3 < 2,3 > 2 > 1,1 == 1.0,1 == true,0 == false,'1' == 1,none == none,[1] == [1.0],{'a':1} == {'a':1},(1,) == [1],'a' < 'b','B' < 'a',1 < 'a',[1,2] < [1,3],none < 1,1 != '1',n in (7,8),not n in l,n is not defined
true and 'x',false or 'y',e or none_,n and missing,not not n,missing and 1,missing or 2,1 if n else 2,1 if z,'a' if z else 'b' if n else 'c',missing == none,missing == missing2,missing == '',missing is sameas missing
none_ is mapping or l is sequence,messages is defined and messages[0] is mapping,n is defined and n is not none,n is number is true,'a' is string == true
"""

EXPRESSIONS = """
1/2;;7//2;;-7//2;;7%3;;-7%3;;7%-3;;7.5//2;;7.5%2;;-7.5%2;;6/2;;2**3;;2**-1;;2**0.5;;(-8)//3;;1e3;;1e16;;1.5e16;;123456789012345678;;1e-5;;0.0001;;0.1+0.2;;1/3;;100.0;;1e100;;-0.0;;3.0*2;;big;;big+1;;big*big;;-big;;1_000;;0x1f;;0o17;;0b11;;n-10;;-n;;+n;;--n;;n+f;;n*f;;true+1;;true+true;;'a'+1;;1+'a';;'a'*3;;3*'a';;'a'*-1;;[1]*2;;[1]+[2];;(1,)+(2,);;l+t;;'a'~1~none_~true~1.0~l;;missing~'x';;'a'~missing;;1/0;;1//0;;1%0;;n/0.0;;[1]+(2,);;none_+1;;missing+1;;'a'-'b';;10**20;;2**64;;1e400;;-1e400;;1e308*10-1e308*10;;9007199254740993.0;;9007199254740993*1.0;;5//0.3;;-1//2;;-1%2;;(-1)**2;;-1**2;;2**3**2;;7//2*2;;10-4-3;;2*3%4
'%s'%1;;'%s %s'%('a',1);;'%d'%3;;'%05.1f'%2.25;;'%(a)s'%{'a':1};;'%s'%none_;;'%s'%(l,);;'%r'%'a';;'%x'%255;;'%s'%'é';;'a%%b'%();;'%s'%d;;'%s %s'%'a';;'%s'%('a','b');;'%c'%'x';;'%e'%12345.678;;'%g'%0.00001;;'%+d'%5;;'% d'%5;;'%#x'%255;;'%5s|'%'ab';;'%-5s|'%'ab';;'%.2s'%'abc';;'%i'%2;;'%s'%yes;;'%s'%1.0;;'%s'%[];;'%s'%{};;'%d'%'x';;'a'%1;;'%%'%1;;'%.3f'%n;;'%o'%8;;'%X'%255;;'%E'%0.5;;'%*d'%(5,3)
m;;d;;[1.0,1e16,1e-5,1e22,-0.0];;{'a':1e16};;(1,);;();;(1,2);;[(1,'a')];;{};;[];;[[]];;['\\\\'];;['\\x00\\x1f\\x7f\\x80\\xa0\\xad'];;['\\u2028\\u0378\\ue000'];;["'"];;['"'];;["'\\""];;{1:2};;{none:1,true:2};;{'é':'ü'};;[none];;[true];;[missing];;d.items();;d.keys();;d.values();;range(3);;range(1,10,2);;namespace(a=1);;dict(a=1);;dict({'a':1},b=2);;dict([('a',1)]);;dict([['a',1]]);;dict(d);;dict();;{'a':1,'a':2};;[1,2,];;{'a':1,};;(1,2,);;1,2;;none_;;yes;;n;;f;;missing;;e
s[0];;s[-1];;s[1:3];;s[::-1];;s[::2];;s[-3:];;s[:-1];;s[100:];;s[5:2];;s[3:0:-1];;s[-1:-5:-2];;l[0];;l[-1];;l[5];;l[-5];;l[1:];;l[:-1];;l[::-1];;l[::2];;l[-2:];;l[2:0:-1];;l[:];;l[0:100];;l[::0];;d['b'];;d.b;;d.items;;d['items'];;d.missing;;d['missing'];;d.a.x;;d['a']['x'];;d.a.x.y;;d.zz.y;;l.0;;l[true];;l['0'];;l[1.0];;'abc'[1];;'abc'[5];;missing[0];;none_[0];;none_.x;;n.x;;n[0];;(1,2)[0];;(1,2)[::-1];;range(5)[1:3];;range(5)[-1];;range(5)|list;;d[0];;messages[0].role;;messages[-1]['content'];;messages[1:];;messages[0:1][0].role;;messages[::-1][0].role;;e[0];;e[:1];;l[none:2];;s[none_:2]
'a' 'b';;'a\\tb';;"a\\"b";;'\\x41\\u00e9\\n';;'\\\\';;'\\q';;'{{';;'%}';;'\\101';;'\\N{BULLET}';;'a\\
b'
range(5,0,-2)|list;;range(0)|list;;range(3)|length;;range(-1)|list;;range(2.5);;range();;range(1,2,0);;range(200000)|length;;lipsum()|length > 0;;cycler('a','b').next();;joiner(',')();;range(3)|last;;range(3) is sequence;;2 in range(3);;range(3)|sum;;range(3)==range(3);;range(3)==[0,1,2]
w.upper();;w.lower();;w.title();;w.capitalize();;s.strip();;s.lstrip();;s.rstrip();;'xxaxx'.strip('x');;'xyaxy'.strip('xy');;s.strip(none);;w.split();;w.split('o');;w.split(' ',1);;w.split(sep='o',maxsplit=1);;'a,,b'.split(',');;''.split();;''.split(',');;'a b'.split(none);;w.rsplit(' ',1);;w.rsplit();;'a b  c '.rsplit(none,1);;'a  b c'.split(none,1);;w.split('');;'a\\nb\\r\\nc\\x0bd\\u2028e'.splitlines();;'a\\nb\\n'.splitlines();;'a\\nb\\n'.splitlines(true);;'a\\r\\nb'.splitlines(keepends=true);;''.splitlines();;w.startswith('the');;w.startswith(('x','the'));;w.startswith(['the']);;w.startswith('quick',4);;w.startswith('the',0,2);;w.endswith('tail');;w.endswith(('a','l'));;w.endswith('e',0,3);;w.startswith('');;w.find('q');;w.find('zz');;w.find('o',15);;w.find('');;w.rfind('o');;w.rfind('o',0,12);;w.index('q');;w.index('zz');;w.rindex('o');;'né né'.find('é',2);;w.count('o');;w.count('');;''.count('');;w.count('o',13);;'aaa'.count('aa');;w.replace('o','0');;w.replace('o','0',1);;w.replace('','-');;'aaa'.replace('a','b',-1);;'aaa'.replace('a','b',count=1);;'aaa'.replace('a','b',0);;w.removeprefix('the ');;w.removesuffix('tail');;w.removeprefix('zz');;w.partition(' ');;w.partition('zz');;w.rpartition(' ');;w.rpartition('zz');;w.partition('')
'abc'.isalpha();;'a1'.isalnum();;''.isalpha();;'12'.isdigit();;'½'.isnumeric();;'½'.isdigit();;'²'.isdigit();;'²'.isdecimal();;'٣'.isdecimal();;'12'.isdecimal();;''.isdigit();;' \\t'.isspace();;''.isspace();;'\\x1c'.isspace();;'abc'.islower();;'aB'.islower();;'1a'.islower();;'ABC'.isupper();;'A1'.isupper();;''.isupper();;'Abc Def'.istitle();;'abc'.istitle();;'A1b'.istitle();;''.istitle();;'abc'.isidentifier();;'1a'.isidentifier();;'é'.isascii();;''.isascii();;'a\\n'.isprintable();;''.isprintable();;'é'.isalpha();;'ª'.islower();;'Ⅷ'.isalpha();;'Ⅷ'.isnumeric();;'一'.isnumeric();;'一'.isalpha();;'_'.isalnum()
'ab'.center(7)~'|';;'abc'.center(6,'*');;'ab'.ljust(5)~'|';;'ab'.rjust(5,'.');;'ab'.center(5,'ab');;'-5'.zfill(4);;'+5'.zfill(4);;'5'.zfill(1);;'é'.zfill(3);;'a\\tb'.expandtabs();;'a\\tb'.expandtabs(4);;'ab\\ncd\\te'.expandtabs(tabsize=3);;'aBc'.swapcase();;'ß'.casefold();;'ßİ'.swapcase();;'Σ'.lower();;'ΑΣ'.lower();;'ŉ'.upper();;'ǆ'.title();;'ﬁx'.title();;'ﬁx'.capitalize();;'x'.encode('utf-8');;'ab'.translate({97:'x'});;'ab'.maketrans('a','b');;','.join(t);;','.join([]);;','.join(['a']);;','.join([1]);;','.join('abc');;','.join(d);;','.join(d.keys());;','.join(t|map('upper'));;','.join(none);;', '.join(('a','b'))
'{}'.format(1);;'{0}{1}{0}'.format('a','b');;'{a}'.format(a=1);;'{:>5}|'.format('ab');;'{:05.2f}'.format(2.5);;'{!r}'.format('a');;'{:,}'.format(1234567);;'{:x}'.format(255);;'{:^7}|'.format('a');;'{{}}'.format();;'{}'.format(l);;'{}'.format(none);;'{}'.format(1.0);;'{0[0]}'.format(l);;'{d[b]}'.format(d=d);;'{:.1%}'.format(0.256);;'{:d}'.format(3);;'{}'.format();;'{:*<6}'.format('ab');;'{:+}'.format(5);;'{:s}'.format('a');;'{:e}'.format(1234.5);;'{!s:>4}'.format(1);;'{:b}'.format(5);;'{:g}'.format(0.00001);;'{:_}'.format(12345);;'{}'.format(true);;'{:>6}'.format(true);;'{0.real}'.format(5);;'{a}{}'.format(1,a=2);;'{}{0}'.format(1);;'{'.format();;'{:>{w}}'.format('a',w=4);;'{}'.format_map({});;'{a}'.format_map({'a':1})
d.keys()|list;;d.values()|list;;d.get('b');;d.get('zz');;d.get('zz',3);;d.get('zz',default=3);;d.items()|list;;d.copy();;d.pop('b');;d.update({'x':1});;d.setdefault('q',1);;d.clear();;d.popitem();;d.fromkeys(['a','b']);;d.fromkeys(['a'],1);;d.keys()|length;;d.items()|first;;d.get();;{'get':1}.get('get');;{'keys':1}.keys;;{'keys':1}.keys()|list;;d.items() == d.items();;d.keys() == d.keys();;'b' in d.keys();;('b',1) in d.items();;1 in d.values();;d.a.items()|list;;d['a'].keys()|list;;(d.items()|list)[0][1];;d.items()|map('first')|list;;d.items()|map('last')|list;;dict(d,z=1);;dict(d.items());;d.keys()|sort;;d.values()|length;;d.items()|length;;d|length
l.index(1);;l.index(9);;l.index(2,1);;l.count(1);;l.copy();;l.append(1);;l.extend([1]);;l.insert(0,1);;l.pop();;l.remove(1);;l.reverse();;l.sort();;l.clear();;(1,2).index(2);;(1,1).count(1);;l.append;;l.nope();;s.nope();;d.nope();;n.nope();;none_.nope();;missing.nope();;missing();;n();;s.__class__;;l.__len__();;s.format.__globals__;;(5).bit_length();;(255).to_bytes(2);;(2.5).is_integer();;(5).real;;f.real;;n.numerator;;n.conjugate();;true.real;;f.hex();;(2.5).as_integer_ratio();;n.is_integer()
"""

STATEMENTS = [
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }};{% endfor %}",
    "{% for x in l %}{{ loop.cycle('a','b') }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.changed(x) }};{% endfor %}",
    "{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}",
    "{% for x in [1,1,2] %}{{ loop.changed(x) }}{% endfor %}",
    "{% for x in [] %}x{% else %}none{% endfor %}",
    "{% for x in missing %}x{% else %}none{% endfor %}",
    "{% for x in none %}x{% else %}none{% endfor %}",
    "{% for x in n %}x{% endfor %}",
    "{% for x in 'aé🎈' %}{{ x }},{% endfor %}",
    "{% for k in d %}{{ k }},{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d|items %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d|dictsort %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d %}{{ k }}{% endfor %}",
    "{% for a, b in ['xy', 'zw'] %}{{ a }}{{ b }},{% endfor %}",
    "{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in [[1, 2], [3, 4]] %}{{ a }}{{ b }}{% endfor %}",
    "{% for a, b in [[1, 2, 3]] %}{{ a }}{{ b }}{% endfor %}",
    "{% for x in l if x > 1 %}{{ loop.index }}{{ x }}{{ loop.last }}{% endfor %}",
    "{% for x in l if x > 9 %}{% else %}none{% endfor %}",
    "{% for x in l recursive %}{{ x }}{% endfor %}",
    "{% for x in [1,[2,[3]]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}{{ loop.depth }}{% endif %}{% endfor %}",
    "{% for x in l %}{% for y in l %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}",
    "{% for x in l %}{% set outer = loop %}{% for y in t %}{{ outer.index }}{{ loop.index }},{% endfor %}{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in l %}{% if x == 3 %}{% break %}{% endif %}{% else %}else{% endfor %}",
    "{% break %}",
    "{% for x in range(3) %}{{ x }}{{ loop.last }}{% endfor %}",
    "{% for x in t|map('upper') %}{{ x }}{{ loop.last }}{{ loop.length }}{% endfor %}",
    "{% for x in p|selectattr('g', 'eq', 2) %}{{ x.v }}{{ loop.length }}{% endfor %}",
    "{% for x in l|batch(2) %}{{ x }}{% endfor %}",
    "{% for g in p|groupby('g') %}{{ g.grouper }}:{{ g.list|map(attribute='v')|join(',') }};{% endfor %}",
    "{% for k, items in p|groupby('g') %}{{ k }}{{ items|length }}{% endfor %}",
    "{% set x = 1 %}{% for i in l %}{% set x = i %}{% endfor %}{{ x }}",
    "{% if yes %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% set x, y = 1, 2 %}{{ x }}{{ y }}",
    "{% set x = 1, 2 %}{{ x }}",
    "{% set (x, y) = [1, 2] %}{{ x }}{{ y }}",
    "{% set x %}a{{ n }}b{% endset %}{{ x }}{{ x|length }}",
    "{% set x | upper %}ab{% endset %}{{ x }}",
    "{% set x | replace('a','b') | trim %} aa {% endset %}{{ x }}|",
    "{% set ns = namespace(a=1, b=[]) %}{% set ns.a = ns.a + 1 %}{% set ns.b = ns.b + [ns.a] %}{{ ns.a }}{{ ns.b }}{{ ns.c is defined }}",
    "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}{{ ns['a'] }}",
    "{% set ns = namespace() %}{% for x in l %}{% set ns.last = x %}{% endfor %}{{ ns.last }}{{ ns.zz }}|{{ ns.zz is defined }}",
    "{% set ns = namespace() %}{% set ns.x %}cap{% endset %}{{ ns.x }}",
    "{% set d.b = 5 %}{{ d.b }}",
    "{% set ns = namespace(x=0) %}{{ 'x' in ns }}",
    "{% set _ = d.update({'q': 1}) %}{{ d }}",
    "{% do l %}",
    "{% macro m(a, b=2, c='x') %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, c=3) }}{{ m(a=5, b=6) }}{{ m(b=1, a=0) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m() }}|{{ m(1)|upper }}|{{ m('x') ~ 'y' }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(zz=2) }}",
    "{% macro m(a) %}{{ a }}{{ varargs }}{% endmacro %}{{ m(1, 2, 3) }}",
    "{% macro m(a) %}{{ a }}{{ kwargs }}{% endmacro %}{{ m(1, x=3) }}",
    "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}in{{ n }}{% endcall %}",
    "{% macro m() %}<{{ caller(1, 'b') }}>{% endmacro %}{% call(a, b) m() %}{{ a }}{{ b }}{% endcall %}",
    "{% macro m() %}<{{ caller() if caller }}>{% endmacro %}{{ m() }}",
    "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}",
    "{% macro m(a, b=1) %}{{ m.name }}{{ m.arguments }}{{ m.caller }}{% endmacro %}{{ m(1) }}",
    "{% macro r(x) %}{{ x }}{% if x > 0 %}{{ r(x - 1) }}{% endif %}{% endmacro %}{{ r(3) }}",
    "{% macro m(a) %}{% set n = 3 %}{{ n }}{% endmacro %}{{ m() }}{{ n }}",
    "{% macro m() %}{{ loop }}{% endmacro %}{% for x in l %}{{ m() }}{% endfor %}",
    "{% macro m(x) %}{{ x.upper() }}{% endmacro %}{{ m(m('a')) }}{{ m('a') is string }}{{ m('a')|length }}",
    "{% macro m() %}x{% endmacro %}{{ m is callable }}{{ m is defined }}{{ zz is defined }}",
    "{{ m() }}{% macro m() %}late{% endmacro %}",
    "{% if l %}{% macro m() %}x{% endmacro %}{% endif %}{{ m() }}",
    "{% call m() %}{% endcall %}",
    "{% filter upper %}a{{ w }}{% endfilter %}",
    "{% filter replace('a', 'b')|trim %} aa {% endfilter %}|",
    "{% filter indent(2) %}a\nb{% endfilter %}",
    "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}",
    "{% with a=1, b=2 %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "{% with a=1, b=a %}{{ b }}{% endwith %}",
    "{% include 'x' %}",
    "{% include 'x' ignore missing %}",
    "{% import 'x' as y %}",
    "{% from 'x' import y %}",
    "{% extends 'x' %}",
    "{% block a %}b{{ n }}{% endblock %}",
    "{% block a %}b{% endblock %}{{ self.a() }}",
    "{% block a %}{% set q = 1 %}{% endblock %}{{ q }}",
    "{% autoescape true %}{{ s }}{% endautoescape %}",
    "{% autoescape false %}{{ s }}{% endautoescape %}",
    "{% raw %}{{ n }}{% if %}{% endraw %}",
    "{%- raw -%}  {{ n }}  {%- endraw -%}",
    "a {# c #} b{#- c -#}  d",
    "{# multi\nline #}\nx",
    "a\n{% if yes %}\n  b\n{% endif %}\nc\n",
    "a\n  {% if yes %}  \nb{% endif %}\n\n",
    "  {{ n }}\n{{ n }}\n",
    "a\n\n",
    "{{ n -}}\n  x  {{- n }}",
    "  {%+ if yes %}x{% endif +%}\n y",
    "{%- if yes -%} x {%- endif -%} y",
    "x {% if z %}a{% elif n == 7 %}b{% else %}c{% endif %}",
    "{% if missing %}a{% else %}b{% endif %}",
    "{% if missing.x %}a{% endif %}",
    "{% if missing is defined and missing.x %}a{% endif %}ok",
    "{% generation %}{{ n }}{% endgeneration %}",
    "{% for x in l %}{% generation %}{{ x }}{% endgeneration %}{% endfor %}",
    "{% generation %}{% set q = 1 %}{% endgeneration %}{{ q }}",
    "{% trans %}x{% endtrans %}",
    "{% debug %}",
    "{% unknown %}",
    "{{ }}",
    "{{ n n }}",
    "{{ 'a }}",
    "{% if n %}",
    "{% endif %}",
    "{% for %}{% endfor %}",
    "{% else %}",
    "{{ n|nope }}",
    "{{ n is nope }}",
    "{% if z %}{{ n|nope }}{% endif %}x",
    "{% if z %}{{ n is nope }}{% endif %}x",
    "{{ loop }}",
    "{{ loop.index }}",
    "{{ self }}",
    "{{ strftime_now('%Y-%m-%d %H:%M:%S %j %a %A %b %B %y %I %p %M %U %w %% %-d %-m %e %-H %-I %-M %G %V %u %h %D %F %T %R %C %n|%t|%k %l %P %W %Z%z') }}",
    "{{ strftime_now('é %d ü') }}{{ strftime_now('') }}",
    "{{ strftime_now('%q %') }}",
    "{{ strftime_now('%^a %_d %010Y %x %X %c %r') }}",
    "{{ strftime_now() }}",
    "{{ strftime_now(format='%Y') }}",
    "{{ raise_exception('no ' ~ n) }}",
    "{{ raise_exception() }}",
    "{% if z %}{{ raise_exception('x') }}{% endif %}fine",
    "{% set j = joiner('; ') %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}",
    "{% set j = joiner() %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}",
    "{% set c = cycler('odd', 'even') %}{% for x in l %}{{ c.next() }}{{ c.current }},{% endfor %}{% set _ = c.reset() %}{{ c.current }}",
    "{% set x = namespace(v='') %}{% for c in 'abc' %}{% set x.v = c ~ x.v %}{% endfor %}{{ x.v }}",
    "{% set a = [] %}{% set a = a + ['x'] %}{{ a }}{{ a|length }}",
    "{% for m in messages %}{{ m['role'] }}:{{ m.content }}{{ '\\n' if not loop.last }}{% endfor %}",
    "{% for m in messages %}{% if loop.first and m.role == 'user' %}U{% endif %}{% endfor %}",
    "{% set loop_messages = messages[1:] %}{{ loop_messages|length }}{{ loop_messages[0].role }}",
    "{{ messages|map(attribute='role')|list }}{{ messages|selectattr('role', 'equalto', 'user')|list|length }}",
    "{{ messages|tojson }}{{ messages[0] }}",
    "{{ tools }}{{ tools is none }}{{ documents }}{{ add_generation_prompt }}",
    "{{ messages[0].content.split('<')[-1].lstrip('\\n') }}",
    "{% set content = messages[0].content if messages[0].content is string else '' %}{{ content|trim }}",
    "{{ '<|' + messages[0]['role'] + '|>\\n' }}",
    "{{ messages[0].get('tool_calls', []) }}{{ messages[0].get('content') }}{{ 'tool_calls' in messages[0] }}",
    "{% if messages[0].tool_calls is defined and messages[0].tool_calls %}a{% else %}b{% endif %}",
    "{% set a, b = 'x-y'.split('-') %}{{ a }}{{ b }}",
    "{% set ns = namespace(found=false) %}{% for m in messages %}{% if m.role == 'assistant' %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.found }}",
    "{{ [messages[0].role, n]|join(' ') }}{{ (n, 'a')|join }}",
    "{{ (messages|last).role }}{{ (messages|first).role }}{{ messages|length - 1 }}{{ messages|length > 1 }}",
    "{{ s|trim|upper|replace('X', 'y')|length }}{{ -n|abs }}{{ n + 1|string|length }}",
    "{{ 'a' if n > 3 else 'b' }}{{ ('x' if z) }}{{ ('x' if z) is defined }}",
    "{{ not n == 7 }}{{ not (n == 7) }}{{ n == 7 and not z }}{{ (n > 3) ~ '' }}",
    "{{ {'a': n}['a'] }}{{ {'a': {'b': 1}}.a.b }}{{ [[1, 2], [3]][0][1] }}{{ 'abc'[0]|upper }}",
    "{{ {'role': 'x'}.role }}{{ {'x': 1}|length }}{{ {'x': 1}.items()|list }}",
    "{{ d.items()|list|first|last }}{{ d.items() is iterable }}{{ d.keys() is sequence }}",
    "{{ t|sort|join(',') }}{{ t|sort(reverse=true)|first }}{{ l|sort|last }}",
    "{{ n.__class__ }}|{{ ''.__class__.__mro__ }}",
    "{{ cycler.__init__ }}{{ range.__self__ }}",
    "{{ 'x'.__add__('y') }}",
    "{{ n|int + 1 }}{{ '5'|int + '6'|int }}{{ n|string + 'a' }}{{ f|int }}",
    "{{ 'yes' if 'a' in 'abc' and 'z' not in 'abc' else 'no' }}",
    "{{ undefined_function(1) }}",
    "{{ d.b() }}",
    "{{ l|map('nope')|list }}",
    "{{ l|select('nope')|list }}",
    "{{ range(3)|map('string')|join }}{{ [1,2]|map('float')|list }}",
    "{{ (l|map('string')) }}",
    "{{ l|reverse }}",
    "{% for x in l|reverse %}{{ x }}{{ loop.length }}{% endfor %}",
    "{{ 'a,b'.split(',')|map('upper')|join('') }}{{ 'x'|upper ~ 'y'|lower }}",
    "{{- 'x' -}}   {{- 'y' -}}",
    "{{ \"a'b\" }}{{ 'a\"b' }}",
    "{{ 1 if true }}{{ 1 if True }}{{ none }}{{ None }}{{ True }}{{ False }}{{ false }}",
    "{{ true }}{{ [true, false, none] }}{{ {'a': true}|string }}",
    "{%set x=1%}{{x}}{%if x%}{{x}}{%endif%}",
    "{% set x = {'a': [1, {'b': 'c'}]} %}{{ x.a[1].b }}{{ x['a'][0] }}{{ x.a[1:] }}",
    "{{ [1, 2, 3][1:][0] }}{{ (1, 2) + (3,) }}{{ [1, 2]|first + [3]|last }}",
    "\ufeff{{ n }}\u00a0",
    "{{ n }}\r\n{{ n }}\r\n",
    "{% if n %}\r\nx\r\n{% endif %}\r\ny",
    "line\n{{ '' }}\n\n{% set x = 1 %}\n{# c #}\nend",
    "{{ 'a\nb' }}",
    "{{ 'tab\\tnl\\ncr\\rq\\'bs\\\\' }}",
    "{{ (1\n+ 2) }}{{ [\n1,\n2\n] }}",
    "{% for item in [{'a': 1}, {'a': 2}] -%}\n  {{ item.a }}\n{%- endfor %}",
    "{% for x in l -%}{{ x }}{%- if not loop.last %}, {% endif %}{%- endfor %}",
    "{% set text = 'a' %}{% set text = text ~ 'b' ~ n %}{{ text }}",
    "{% set x = none %}{{ x is none }}{{ x }}{{ x or 'd' }}{{ x|default('e') }}",
    "{{ l.x }}|{{ s.x }}|{{ n.x }}|{{ f.x }}|{{ yes.x }}",
    "{{ l['x'] }}|{{ s['x'] }}",
    "{{ d.a.x is none }}{{ d.a.y is defined }}{{ d.q.y is defined }}",
    "{{ missing.x.y is defined }}",
    "{{ missing|length }}{{ missing|upper }}{{ missing|list }}{{ missing|string }}{{ missing|trim }}|",
    "{{ missing|join(',') }}{{ missing|first }}|{{ missing|last }}",
    "{{ missing|int }}{{ missing|float }}",
    "{{ missing|replace('a','b') }}{{ missing|tojson }}",
    "{{ none|upper }}{{ none|length }}",
    "{{ none|trim }}{{ none|string }}{{ none|replace('N','n') }}{{ none|int }}",
    "{{ none|list }}",
    "{{ 5|list }}",
    "{{ 5|join }}",
    "{{ missing + 'a' }}",
    "{{ missing * 2 }}",
    "{{ missing < 1 }}",
    "{{ -missing }}",
    "{{ missing in 'abc' }}",
    "{{ 'a' in missing }}",
    "{{ 'a' in none }}",
    "{{ 1 in 'abc' }}",
    "{{ none in [none] }}{{ 1.0 in [1] }}{{ true in [1] }}{{ [1] in [[1]] }}",
    "{{ [] in {} }}",
    "{{ {[]: 1} }}",
    "{{ {(1, 2): 1} }}",
    "{{ {n: 1, 'k': 2} }}",
    "{{ dict(a=1).a }}{{ dict(a=1)|length }}",
    "{{ namespace(a=1).a }}",
    "{% set a = namespace(x=1) %}{% set b = a %}{% set b.x = 2 %}{{ a.x }}",
    "{{ [1,2,3]|sum }}{{ [0.1,0.2]|sum }}{{ [[1],[2]]|sum(start=[]) }}",
    "{{ l|tojson|length }}{{ (l|tojson)[0] }}{{ (l|tojson) ~ '<' }}{{ (d|tojson)|replace('\"', '') }}",
    "{{ tojson }}",
    "{{ '\\u00e9' }}{{ '\\U0001F388' }}",
    "{{ 'A'|lower|upper }}{{ 'a'|title }}{{ 'HELLO world'|capitalize }}",
    "{{ 1 is number and 1 is not string }}{{ 'a' is not none and 'a' is string }}",
    "{{ n is divisibleby(by=7) }}{{ n is divisibleby 0 }}",
    "{{ [1,2] is eq [1,2] }}{{ 3 is lt 4 }}{{ 'a' is in ['a'] }}{{ 1 is sameas 1 }}",
    "{% for x in l %}{{ x }}{% if loop.index is odd %}o{% endif %}{% if loop.index is divisibleby 3 %}3{% endif %}{% endfor %}",
]


def snippets():
    for line in FILTERS.strip().splitlines():
        yield from ("{{ " + part.strip() + " }}" for part in split(line))
    for line in TESTS.strip().splitlines():
        yield from ("{{ " + part + " }}" for part in commas(line))
    for part in EXPRESSIONS.strip().replace("\n", ";;").split(";;"):
        yield "{{ " + part + " }}"
    yield from STATEMENTS


def split(line):
    """Parts between spaces that are outside of quotes and brackets."""
    return pieces(line, " ")


def commas(line):
    return pieces(line, ",")


def pieces(line, gap):
    part, depth, quote, escaped = "", 0, None, False
    for letter in line:
        if quote:
            quote = None if letter == quote and not escaped else quote
            escaped = letter == "\\" and not escaped
        elif letter in "'\"":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == gap and depth == 0:
            if part:
                yield part
            part = ""
            continue
        part += letter
    if part:
        yield part


MESSAGES = [{"role": "user", "content": " Hé <b> "}, {"role": "assistant", "content": "x", "n": 1.5}]


def main(rendered):
    """One line with the messages and the variables, then one for each construct."""
    print(json.dumps({"messages": MESSAGES, "variables": VARIABLES}))
    for source in dict.fromkeys(snippets()):
        outcome = rendered(source, MESSAGES, None, VARIABLES)
        text = outcome.get("text")
        print(json.dumps({"source": source, "text": text and re.sub(" at 0x[0-9a-f]+", "", text)}))
